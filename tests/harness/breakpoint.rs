//! Breakpoints in the communication of a service: at a COMMIT or at a call of the payment provider. The test learns when one is
//! reached, and then resumes, cuts the connection, or kills the process.

pub mod database;
pub mod provider;

use std::time::Duration;

use tokio::sync::oneshot;

/// Timeout of [`Breakpoint::reached`].
const REACHED_WITHIN: Duration = Duration::from_secs(60);

/// Before or after the effect of a COMMIT or a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The request has not arrived.
    Before,
    /// The effect has happened; the response has not arrived.
    After,
}

/// A breakpoint that is set. Dropping it cuts the connection that it holds.
#[must_use]
pub struct Breakpoint {
    reached: Option<oneshot::Receiver<()>>,
    next: oneshot::Sender<Next>,
}

/// How a held connection continues.
enum Next {
    Resume,
    /// This response, instead of the other side's.
    Respond(Vec<u8>),
}

impl Breakpoint {
    /// Waits until it is reached.
    pub async fn reached(mut self) -> Self {
        if let Some(reached) = self.reached.take() {
            let reached = tokio::time::timeout(REACHED_WITHIN, reached).await.expect("the breakpoint was not reached");
            reached.expect("the proxy runs");
        }
        self
    }

    /// Lets the connection continue.
    pub fn resume(self) {
        let _closed = self.next.send(Next::Resume);
    }

    /// Cuts the connection.
    pub fn cut(self) {}
}

/// The proxy's side of a breakpoint.
struct Hold {
    reached: oneshot::Sender<()>,
    next: oneshot::Receiver<Next>,
}

impl Hold {
    fn new() -> (Self, Breakpoint) {
        let (reached, is_reached) = oneshot::channel();
        let (next, receiver) = oneshot::channel();
        (Self { reached, next: receiver }, Breakpoint { reached: Some(is_reached), next })
    }

    /// Reports that the breakpoint is reached, and waits. Returns `None` for a cut.
    async fn wait(self) -> Option<Next> {
        let _dropped = self.reached.send(());
        self.next.await.ok()
    }
}
