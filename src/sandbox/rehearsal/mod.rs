//! The rehearsal of an interview: a session against a clock, marked with evidence, kept as one file.
//!
//! [`Content`] is what the folder `rehearsal/` says, [`session`] what a candidate does, [`marking`] what it is worth, [`report`]
//! the page that stays, [`Store`] the files. It knows no trip and no payment: what is predicted is settled by labs and by the
//! running demo.

pub mod check;
pub mod content;
pub mod labs;
pub mod marking;
pub mod page;
pub mod prompts;
pub mod report;
pub mod schedule;
pub mod session;
pub mod store;
pub mod view;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

pub use content::Content;
pub use labs::Labs;
pub use store::Store;

/// What the routes of the rehearsal need.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What can be asked.
    pub content: Arc<Content>,
    /// The sessions; `None` if the service was started without a directory for them.
    pub store: Option<Arc<Store>>,
    /// The results of labs.
    pub labs: Labs,
}

impl Rehearsal {
    /// Reads the embedded content.
    ///
    /// # Errors
    /// The content is invalid, which a test excludes.
    pub fn new(sessions: Option<PathBuf>, labs: Option<PathBuf>) -> Result<Self, String> {
        let content = Content::embedded()?;
        Ok(Self {
            content: Arc::new(content),
            store: sessions.map(|folder| Arc::new(Store::at(folder))),
            labs: Labs::at(labs),
        })
    }
}
