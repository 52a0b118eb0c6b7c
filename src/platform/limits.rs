//! How many requests a caller may make. Generous for one phone, small for a loop that has run wild.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, QuantaClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::auth::Caller;

/// Callers remembered before those who have been quiet are forgotten.
const CALLERS_KEPT_MAX: usize = 20_000;

/// A rate limit per caller: so many requests a second on average, twice as many at once.
#[derive(Debug)]
pub struct Limits {
    per_second: u32,
    limiter: RateLimiter<Caller, DashMapStateStore<Caller>, QuantaClock, StateInformationMiddleware>,
}

/// What the limiter said, for the `RateLimit` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Requests that may be made at once from now.
    pub remaining: u32,
    /// The limit's burst.
    pub burst: u32,
    /// Requests a second on average.
    pub per_second: u32,
    /// `Some`: refused, come back in so many seconds.
    pub retry_after_s: Option<u32>,
}

impl Limits {
    /// A limit of `per_second` requests a second and caller.
    pub fn new(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::new(2).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { per_second: per_second.get(), limiter: RateLimiter::dashmap(quota).with_middleware() }
    }

    /// Counts a request.
    pub fn check(&self, caller: Caller) -> Verdict {
        if self.limiter.len() > CALLERS_KEPT_MAX {
            self.limiter.retain_recent();
        }
        let verdict =
            Verdict { remaining: 0, burst: self.per_second * 2, per_second: self.per_second, retry_after_s: None };
        match self.limiter.check_key(&caller) {
            Ok(state) => Verdict { remaining: state.remaining_burst_capacity(), ..verdict },
            Err(until) => {
                let wait = until.wait_time_from(QuantaClock::default().now());
                let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
                Verdict { retry_after_s: Some(seconds), ..verdict }
            }
        }
    }
}
