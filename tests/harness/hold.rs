//! Holds a process at a chosen place: at a COMMIT on its way to the database, or at a call on its way to the provider. Whoever
//! set the trap is told that somebody is in it, and then lets go, cuts the connection, or kills.

pub mod database;
pub mod provider;

use std::time::Duration;

use tokio::sync::oneshot;

/// A trap that nobody has walked into by then was set at the wrong place.
const REACHED_WITHIN: Duration = Duration::from_secs(60);

/// Before or after what passes through has had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It has not arrived.
    Before,
    /// It is done, and the answer has not arrived.
    After,
}

/// A trap that was set. Whoever drops it cuts the connection of whoever is in it.
#[must_use]
pub struct Trap {
    reached: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<Then>,
}

/// How the holder of a [`Trap`] goes on.
enum Then {
    LetGo,
    /// This instead of what the other side says, or would have said.
    Answer(Vec<u8>),
}

impl Trap {
    /// Waits until somebody is in it.
    pub async fn reached(mut self) -> Self {
        if let Some(reached) = self.reached.take() {
            let reached = tokio::time::timeout(REACHED_WITHIN, reached).await.expect("nobody walked into the trap");
            reached.expect("the proxy stands");
        }
        self
    }

    /// Lets him go on as if nothing had happened.
    pub fn let_go(self) {
        let _gone = self.release.send(Then::LetGo);
    }

    /// Closes his connection: he is never answered.
    pub fn cut(self) {}
}

/// The proxy's side of a trap.
struct Snare {
    reached: oneshot::Sender<()>,
    release: oneshot::Receiver<Then>,
}

impl Snare {
    fn new() -> (Self, Trap) {
        let (reached, is_reached) = oneshot::channel();
        let (release, is_released) = oneshot::channel();
        (Self { reached, release: is_released }, Trap { reached: Some(is_reached), release })
    }

    /// Tells that somebody is caught, and waits for what is to be done; `None`: cut.
    async fn hold(self) -> Option<Then> {
        let _told = self.reached.send(());
        self.release.await.ok()
    }
}
