//! The sandbox: tokens for everybody, a domain clock that can be set, the console with the city as it moves for its map, and a
//! view inside: what a request asked of the database, what the payment provider thinks, what happens when the process is killed.
//! Nothing imports it but the start-up, which opens it only when told to. It decides nothing about trips or money, and what it can
//! do is never possible without it.

pub mod console;
pub mod live;
pub mod machines;
mod provider;
mod recorder;
mod reset;
pub mod routes;
pub mod store;
pub mod supervisor;

use crate::payments::PaymentsContext;
use crate::platform::config::Config;
use crate::platform::error::Result;

pub use live::Live;
use provider::Provider;
pub use recorder::Recorder;

/// What the sandbox needs beside the platform.
#[derive(Debug)]
pub struct Sandbox {
    recorder: Recorder,
    provider: Provider,
    /// Whose calls a reset waits for.
    payments: PaymentsContext,
    /// What the map shows.
    live: Live,
    is_supervised: bool,
}

impl Sandbox {
    /// Puts it together.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(config: &Config, recorder: Recorder, payments: PaymentsContext, live: Live) -> Result<Self> {
        let provider = Provider::new(&config.psp)?;
        Ok(Self { recorder, provider, payments, live, is_supervised: config.supervised })
    }

    /// What the map shows; somebody has to run it.
    pub fn live(&self) -> &Live {
        &self.live
    }
}
