//! The ground floor: what every room stands on and none of them is about. The database's one door, idempotency, the outbox,
//! HTTP, tokens, both clocks. It knows no trip, no driver and no money but their ids and amounts.

pub mod auth;
pub mod class;
pub mod clock;
pub mod config;
pub mod db;
pub mod dice;
pub mod egress;
pub mod error;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod leader;
pub mod limits;
pub mod metrics;
pub mod money;
pub mod outbox;
pub mod page;
pub mod schema;
pub mod secret;
pub mod telemetry;
pub mod wake;

use std::ops::Deref;
use std::sync::Arc;

/// What is shared by everything in the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform(Arc<Parts>);

/// The parts of the [`Platform`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each part's type says what it is")]
pub struct Parts {
    pub db: db::Db,
    pub clock: clock::Clock,
    pub dice: dice::Dice,
    pub gate: idempotency::Gate,
    pub tokens: auth::Tokens,
    pub limits: limits::Limits,
    pub metrics: metrics::Metrics,
    pub leadership: leader::Leadership,
    /// Cancelled when the process is to end: streams end, workers finish their round.
    pub shutdown: tokio_util::sync::CancellationToken,
    /// Names this process among others: host-independent, new at each start.
    pub process: String,
}

impl Platform {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Platform {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
