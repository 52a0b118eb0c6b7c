//! Waiting for slow steps: the poll interval, and the callback that reports progress.

use std::{sync::Arc, time::Duration};

/// The interval at which the crate checks for an expected change.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The number of polls within `limit`.
pub(crate) fn polls_in(limit: Duration) -> u128 {
    limit.as_millis() / POLL_INTERVAL.as_millis()
}

/// A callback that gets one line for each slow step.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;
