//! The platform: database access, idempotency, the outbox, HTTP, authentication, both clocks. Every module uses it. It knows no
//! trip, driver or payment, only their ids and amounts.

pub mod auth;
pub mod class;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod db;
pub mod egress;
pub mod error;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod leader;
pub mod limits;
pub mod match_policy;
pub mod metrics;
pub mod money;
pub mod names;
pub mod outbox;
pub mod page;
pub mod random;
pub mod retention;
pub mod schema;
pub mod secret;
pub mod switch;
mod tasks;
pub mod telemetry;
pub mod text;
pub mod wake;
pub mod work;

use std::ops::Deref;
use std::sync::Arc;

/// The shared state of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Platform(Arc<Parts>);

/// The parts of the [`Platform`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each part's type documents it")]
pub struct Parts {
    pub db: db::Db,
    pub clock: clock::Clock,
    pub random: random::RandomSource,
    pub key_locks: idempotency::KeyLocks,
    pub tokens: auth::Tokens,
    pub limits: limits::Limits,
    pub streams: http::stream_permit::StreamLimiter,
    pub metrics: metrics::Metrics,
    pub leadership: leader::Leadership,
    pub retention: config::RetentionConfig,
    /// The latest pickup, from the request, of the trips that are requested; `None` if there is no limit.
    pub pickup_within: Option<chrono::TimeDelta>,
    /// Cancelled at shutdown: streams end, workers finish their run.
    pub shutdown: tokio_util::sync::CancellationToken,
    /// The id of this process, new at each start.
    pub process: String,
}

impl Platform {
    /// Creates the platform from its parts.
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
