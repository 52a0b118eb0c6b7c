//! Keepers: each owns one process, starts it again when it dies, and does to it what the adversary orders.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::process::{Process, Spec};

/// A process that died is started again after this.
const RESTART_AFTER: Duration = Duration::from_millis(200);

/// What can be done to a process. Each order is answered when it is done, with whether it struck.
#[derive(Debug)]
enum Order {
    Kill(oneshot::Sender<bool>),
    Pause(Duration, oneshot::Sender<bool>),
    Stop(oneshot::Sender<bool>),
}

/// The hold on a process that is kept running.
#[derive(Debug)]
pub struct Keeper {
    /// What it is called.
    pub name: &'static str,
    orders: mpsc::Sender<Order>,
    address: watch::Receiver<Option<SocketAddr>>,
    deaths: Arc<AtomicU64>,
}

impl Keeper {
    /// Starts a process and keeps it running.
    pub fn keep(spec: Spec) -> Self {
        let (orders, inbox) = mpsc::channel(4);
        let (tell, address) = watch::channel(None);
        let deaths = Arc::new(AtomicU64::new(0));
        let name = spec.name;
        tokio::spawn(keep(spec, inbox, tell, Arc::clone(&deaths)));
        Self { name, orders, address, deaths }
    }

    /// Where it listens, now and whenever that changes; `None` while it does not run.
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.clone()
    }

    /// How often it ended without being told to.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// `kill -9`; it starts again at once. Says whether it was running.
    pub async fn kill(&self) -> bool {
        self.order(Order::Kill).await
    }

    /// SIGSTOP for so long. Says whether it was running.
    pub async fn pause(&self, time: Duration) -> bool {
        self.order(|done| Order::Pause(time, done)).await
    }

    /// Stops it for good, in order.
    pub async fn stop(&self) {
        self.order(Order::Stop).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<bool>) -> Order) -> bool {
        let (done, answer) = oneshot::channel();
        self.orders.send(order(done)).await.is_ok() && answer.await.unwrap_or(false)
    }
}

async fn keep(
    spec: Spec,
    mut orders: mpsc::Receiver<Order>,
    tell: watch::Sender<Option<SocketAddr>>,
    deaths: Arc<AtomicU64>,
) {
    loop {
        match spec.start().await {
            Ok(mut process) => {
                tell.send_replace(process.address);
                let goes_on = attend(&mut process, &mut orders, &deaths).await;
                tell.send_replace(None);
                if !goes_on {
                    return;
                }
            }
            // A service does not start without its database: no death, and no news.
            Err(_) => match orders.try_recv() {
                Ok(Order::Stop(done)) => {
                    let _nobody = done.send(false);
                    return;
                }
                Ok(Order::Kill(done) | Order::Pause(_, done)) => {
                    let _nobody = done.send(false);
                }
                Err(_) => {}
            },
        }
        tokio::time::sleep(RESTART_AFTER).await;
    }
}

/// Looks after a process until it is dead; whether it is to be started again.
async fn attend(process: &mut Process, orders: &mut mpsc::Receiver<Order>, deaths: &AtomicU64) -> bool {
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            _how = process.ended() => {
                deaths.fetch_add(1, Ordering::Relaxed);
                return true;
            }
        };
        match order {
            Some(Order::Kill(done)) => {
                process.kill().await;
                let _nobody = done.send(true);
                return true;
            }
            Some(Order::Pause(time, done)) => {
                let paused = process.pause();
                tokio::time::sleep(time).await;
                let _nobody = done.send(paused.is_ok());
            }
            Some(Order::Stop(done)) => {
                process.stop().await;
                let _nobody = done.send(true);
                return false;
            }
            None => return false,
        }
    }
}
