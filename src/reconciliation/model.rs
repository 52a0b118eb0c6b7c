//! Values and pure decisions of reconciliation.

pub mod differences;
mod disputes;
pub mod findings;
pub mod kinds;

use std::collections::BTreeMap;

use chrono::TimeDelta;
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

/// Sums amounts by currency. Saturates at the bounds of `i64`.
pub fn totals_by_currency<'a>(amounts: impl Iterator<Item = (&'a str, i64)>) -> CurrencyTotals {
    amounts.fold(CurrencyTotals::new(), |mut totals, (currency, amount)| {
        let total = totals.entry(currency.to_owned()).or_default();
        *total = total.saturating_add(amount);
        totals
    })
}

/// Returns the least id that can have been made at `time` or later: ids are UUIDs of version 7 and start with their time.
pub fn first_id_at(time: MachineTime) -> Uuid {
    let millis = u64::try_from(time.utc().timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
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
        let all = totals_by_currency([("USD", 1), ("EUR", 2), ("USD", 3)].into_iter());
        assert_eq!(all, CurrencyTotals::from([("EUR".to_owned(), 2), ("USD".to_owned(), 4)]));
        assert_eq!(totals_by_currency([("USD", i64::MAX), ("USD", 1)].into_iter())["USD"], i64::MAX);
    }
}
