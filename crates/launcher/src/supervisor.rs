//! A supervisor owns one process and restarts it when it dies.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::{Process, Spec};

/// Between a death and the restart.
const RESTART_AFTER: Duration = Duration::from_millis(200);

/// What happens while a process is paused.
type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A command to the supervisor. The reply says whether the process was running.
enum Command {
    Kill(oneshot::Sender<bool>),
    Restart(oneshot::Sender<bool>),
    Pause(Meanwhile, oneshot::Sender<bool>),
}

/// A process that is kept running until [`Supervisor::stop`].
#[derive(Debug)]
pub struct Supervisor {
    /// Name of the process in messages.
    pub name: &'static str,
    commands: mpsc::Sender<Command>,
    address: watch::Receiver<Option<SocketAddr>>,
    deaths: Arc<AtomicU64>,
    stop: Arc<Notify>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// The supervisor's side.
struct Supervised<F> {
    spec: Spec,
    commands: mpsc::Receiver<Command>,
    address: watch::Sender<Option<SocketAddr>>,
    deaths: Arc<AtomicU64>,
    stop: Arc<Notify>,
    on_death: F,
}

impl Supervisor {
    /// Starts a process and keeps it running. `on_death` gets a sentence for each unordered end and each failed start.
    pub fn start(spec: Spec, on_death: impl Fn(&str) + Send + 'static) -> Self {
        let (commands, inbox) = mpsc::channel(4);
        let (sender, address) = watch::channel(None);
        let (name, deaths, stop) = (spec.name, Arc::default(), Arc::default());
        let (theirs, stops) = (Arc::clone(&deaths), Arc::clone(&stop));
        let supervised = Supervised { spec, commands: inbox, address: sender, deaths: theirs, stop: stops, on_death };
        let task = tokio::sync::Mutex::new(Some(tokio::spawn(supervised.run())));
        Self { name, commands, address, deaths, stop, task }
    }

    /// Where the process listens, now and after each change; `None` while it does not run.
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.clone()
    }

    /// How often it ended without an order.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Kills the process with SIGKILL; it is restarted. Returns whether it was running.
    pub async fn kill(&self) -> bool {
        self.send(Command::Kill).await
    }

    /// Stops the process in order; it is started again. Returns whether it was running.
    pub async fn restart(&self) -> bool {
        self.send(Command::Restart).await
    }

    /// Pauses the process with SIGSTOP for `time`. Returns whether it was running.
    pub async fn pause(&self, time: Duration) -> bool {
        self.pause_while(tokio::time::sleep(time)).await
    }

    /// Pauses the process with SIGSTOP until `meanwhile` has ended. Returns whether it was running.
    pub async fn pause_while(&self, meanwhile: impl Future<Output = ()> + Send + 'static) -> bool {
        self.send(|done| Command::Pause(Box::pin(meanwhile), done)).await
    }

    /// Stops the process in order, for good.
    pub async fn stop(&self) {
        if let Some(task) = self.task.lock().await.take() {
            self.stop.notify_one();
            let _ended = task.await;
        }
    }

    async fn send(&self, command: impl FnOnce(oneshot::Sender<bool>) -> Command) -> bool {
        let (done, reply) = oneshot::channel();
        self.commands.send(command(done)).await.is_ok() && reply.await.unwrap_or(false)
    }
}

impl<F: Fn(&str)> Supervised<F> {
    async fn run(mut self) {
        loop {
            let started = tokio::select! {
                started = self.spec.start() => started,
                () = self.stop.notified() => return,
            };
            match started {
                Ok(mut process) => {
                    self.address.send_replace(process.address);
                    let restarts = self.attend(&mut process).await;
                    self.address.send_replace(None);
                    if !restarts {
                        return;
                    }
                }
                // A service does not start without its database. That is no death.
                Err(error) => {
                    (self.on_death)(&error.to_string());
                    if let Ok(Command::Kill(done) | Command::Restart(done) | Command::Pause(_, done)) =
                        self.commands.try_recv()
                    {
                        let _closed = done.send(false);
                    }
                }
            }
            tokio::time::sleep(RESTART_AFTER).await;
        }
    }

    /// Carries out commands until the process ends. Returns whether to restart it.
    async fn attend(&mut self, process: &mut Process) -> bool {
        loop {
            let command = tokio::select! {
                command = self.commands.recv() => command,
                status = process.ended() => {
                    self.deaths.fetch_add(1, Ordering::Relaxed);
                    (self.on_death)(&format!("{} ended with {status}{}", self.spec.name, self.spec.log_hint()));
                    return true;
                }
                () = self.stop.notified() => {
                    process.stop().await;
                    return false;
                }
            };
            match command {
                Some(Command::Kill(done)) => {
                    process.kill().await;
                    let _closed = done.send(true);
                    return true;
                }
                Some(Command::Restart(done)) => {
                    process.stop().await;
                    let _closed = done.send(true);
                    return true;
                }
                Some(Command::Pause(meanwhile, done)) => {
                    let paused = process.pause().await;
                    meanwhile.await;
                    let _closed = done.send(paused.is_ok());
                }
                None => return false,
            }
        }
    }
}
