//! The clock, and times as the protocol counts them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A source of machine time. Tests pass one that they can move.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's clock.
pub fn machine_clock() -> Clock {
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the time")]
    Arc::new(SystemTime::now)
}

/// The machine's clock, moved so that it shows `start` now.
pub fn clock_starting_at(start: SystemTime) -> Clock {
    let machine = machine_clock();
    let begin = machine();
    // The machine's clock may be set back; elapsed time saturates at zero.
    Arc::new(move || start + machine().duration_since(begin).unwrap_or_default())
}

/// Milliseconds since 1970; zero before that.
pub fn unix_ms(time: SystemTime) -> i64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970; zero before that.
pub fn unix_s(time: SystemTime) -> i64 {
    unix_ms(time) / 1000
}
