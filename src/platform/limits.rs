//! The rate limit of each caller: generous for a phone, small for a runaway loop.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, QuantaClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::auth::Caller;

/// The number of remembered callers above which idle ones are removed.
const CALLERS_KEPT_MAX: usize = 20_000;

/// A rate limit per caller: `per_second` requests per second on average, twice as many in a burst.
#[derive(Debug)]
pub struct Limits {
    per_second: u32,
    limiter: RateLimiter<Caller, DashMapStateStore<Caller>, QuantaClock, StateInformationMiddleware>,
}

/// The state of a caller's limit, for the `RateLimit` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Requests left in the burst.
    pub remaining: u32,
    /// Requests per second on average.
    pub per_second: u32,
    /// `Some` if the request exceeds the limit: the seconds to wait.
    pub retry_after_s: Option<u32>,
}

impl Limits {
    /// Creates a limit of `per_second` requests per second and caller.
    pub fn new(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { per_second: per_second.get(), limiter: RateLimiter::dashmap(quota).with_middleware() }
    }

    /// Counts a request of the caller.
    pub fn check(&self, caller: Caller) -> RateLimitStatus {
        if self.limiter.len() > CALLERS_KEPT_MAX {
            self.limiter.retain_recent();
        }
        let status = RateLimitStatus { remaining: 0, per_second: self.per_second, retry_after_s: None };
        match self.limiter.check_key(&caller) {
            Ok(state) => RateLimitStatus { remaining: state.remaining_burst_capacity(), ..status },
            Err(until) => {
                let wait = until.wait_time_from(QuantaClock::default().now());
                let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
                RateLimitStatus { retry_after_s: Some(seconds), ..status }
            }
        }
    }
}
