//! The retention of attempts and of the provider's events.

use chrono::TimeDelta;

use super::attempts::delete_expired_attempts;
use super::events::delete_expired_events;
use crate::platform::retention::{BATCH, RetentionRule};

/// How long events are kept (machine time). The provider repeats an event for three days at most.
const KEPT: TimeDelta = TimeDelta::days(7);

/// The retention of attempts whose result is known, and of events that are not due.
pub const RETENTION: [RetentionRule; 2] = [
    RetentionRule {
        rows: "payment_attempts",
        delete: |conn, expiry| {
            let before = expiry.machine_days(|kept| kept.keep_payment_attempts_days);
            Box::pin(delete_expired_attempts(conn, before, expiry.batch()))
        },
        batch: BATCH,
    },
    RetentionRule {
        rows: "provider_events",
        delete: |conn, expiry| Box::pin(delete_expired_events(conn, expiry.machine(KEPT), expiry.batch())),
        batch: BATCH,
    },
];
