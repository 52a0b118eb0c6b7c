//! Values and pure decisions of reconciliation.

pub mod differences;
mod disputes;
pub mod findings;
pub mod kinds;
pub mod windows;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use uuid::{Builder, Uuid};

use crate::platform::clock::MachineTime;
use crate::platform::ids::{DriverId, FindingId, OfferId, PaymentId, RefundId, RiderId, RunId, TripId};

/// The age at which due, leased or running work counts as late. A failing outbox delivery is dead after 2.5 minutes and
/// holds back the later deliveries of the same trip; a call to the provider takes seconds.
const LATE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// The age at which the outcome of an attempt should be known. The provider forgets idempotency keys after 24 hours; after that
/// only an operator can decide.
const UNKNOWN_AFTER: TimeDelta = TimeDelta::hours(23);

/// The times before which open work counts as late. A trip with open work that is not yet late is unsettled.
#[derive(Debug, Clone, Copy)]
pub struct SettlementLimits {
    /// Work due before this is late.
    pub late: MachineTime,
    /// An attempt that started before this should have a known outcome.
    pub unknown: MachineTime,
}

impl SettlementLimits {
    /// Returns the limits as of `now`.
    pub fn at(now: MachineTime) -> Self {
        Self { late: now - LATE_AFTER, unknown: now - UNKNOWN_AFTER }
    }
}

/// Sums of money in minor units, by currency.
pub type CurrencyTotals = BTreeMap<String, i64>;

/// Adds an amount to the total of its currency. Saturates at the bounds of `i64`.
pub fn add_amount(totals: &mut CurrencyTotals, currency: &str, amount: i64) {
    match totals.get_mut(currency) {
        Some(total) => *total = total.saturating_add(amount),
        None => {
            totals.insert(currency.to_owned(), amount);
        }
    }
}

/// Returns the least id that can have been made at `time` or later: ids are UUIDs of version 7 and start with their time.
pub fn first_id_at(time: MachineTime) -> Uuid {
    let millis = u64::try_from(time.utc().timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// Returns the time in an id that [`first_id_at`] could have made; `None` if it has none.
pub fn time_of_id(id: Uuid) -> Option<MachineTime> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    let time = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)?;
    Some(MachineTime::new(time))
}

/// Returns the published name of an object: `trip_01jd…` if its kind has an id prefix, else `posting 0190…`.
pub fn subject(kind: &str, id: &str) -> String {
    let published = Uuid::try_parse(id).ok().and_then(|uuid| {
        Some(match kind {
            "trip" => TripId::from(uuid).to_string(),
            "driver" => DriverId::from(uuid).to_string(),
            "rider" => RiderId::from(uuid).to_string(),
            "offer" => OfferId::from(uuid).to_string(),
            "payment" => PaymentId::from(uuid).to_string(),
            "refund" => RefundId::from(uuid).to_string(),
            "run" => RunId::from(uuid).to_string(),
            "finding" => FindingId::from(uuid).to_string(),
            _ => return None,
        })
    });
    published.unwrap_or_else(|| format!("{kind} {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_kept_by_currency_and_saturate() {
        let mut totals = CurrencyTotals::new();
        for (currency, amount) in [("USD", 1), ("EUR", 2), ("USD", 3), ("EUR", i64::MAX)] {
            add_amount(&mut totals, currency, amount);
        }
        assert_eq!(totals, CurrencyTotals::from([("EUR".to_owned(), i64::MAX), ("USD".to_owned(), 4)]));
    }
}
