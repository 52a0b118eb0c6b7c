//! Tasks that end although their caller does not wait: a client that disconnects cancels nothing.

use futures_util::future::{BoxFuture, FutureExt};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::error::{Error, Result};
use super::telemetry;

/// The tasks of the process's main runtime. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
}

impl Tasks {
    /// Creates it without a task, on the current runtime.
    pub fn new() -> Self {
        Self { tracker: TaskTracker::new(), runtime: Handle::current() }
    }

    /// Runs `work` in a task and waits for it. If the caller is dropped, the task runs to its end.
    ///
    /// `work` goes to the heap before it is moved into another future: a command's is large, and each move would copy it on the stack.
    ///
    /// # Errors
    /// The error of `work`; [`Error::Bug`] if it panicked.
    pub fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let work = async move { drop(sender.send(work.await)) }.boxed();
        async move {
            if let Err(panic) = self.spawn(work).await {
                return Err(Error::Bug(format!("a task panicked: {panic}")));
            }
            receiver.await.unwrap_or_else(|_| Err(Error::Bug("a task ended without a result".into())))
        }
    }

    /// Waits for the running tasks.
    pub async fn drain(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// The number of running tasks.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Spawns a task in the caller's trace and span. All have one type, so that the compiler makes tokio's code for a task once: made for each
    /// caller, it was a quarter of the crate's code.
    fn spawn(&self, work: BoxFuture<'static, ()>) -> JoinHandle<()> {
        let work = telemetry::in_context(telemetry::context(), work);
        self.tracker.spawn_on(work.in_current_span(), &self.runtime)
    }
}
