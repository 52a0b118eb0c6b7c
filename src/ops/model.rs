//! What the audit judges: pure. The comparison of our books with the provider's is in [`books`].

pub mod books;
pub mod findings;
pub mod kinds;

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::platform::clock::MachineTime;
use crate::platform::ids::TripId;

/// What must always hold, in the contract's order. The names are stable: reports, dashboards and `docs/audit.md` use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// One active trip per driver and per rider; engagements agree with offers and trips.
    Engagements,
    /// One accepted offer per trip, one pending offer per driver, none on a trip that is over.
    Offers,
    /// The payments of a trip sum to its receipt, or somebody knows of the debt; what was free cost nothing.
    Receipts,
    /// Every posting sums to zero, and each account holds what the payments say.
    Ledger,
    /// Refunds within what was captured, captures within what was authorised.
    Limits,
    /// One effect per idempotency key, and no effect without one.
    Keys,
    /// The events of a trip are a gapless, legal walk that ends in its state.
    Events,
    /// The provider's books equal ours, and no authorisation is left open on a trip that is over.
    Provider,
    /// No delivery, lease or unknown attempt is older than its limit.
    StaleWork,
}

impl Invariant {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Engagements,
        Self::Offers,
        Self::Receipts,
        Self::Ledger,
        Self::Limits,
        Self::Keys,
        Self::Events,
        Self::Provider,
        Self::StaleWork,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engagements => "engagements",
            Self::Offers => "offers",
            Self::Receipts => "receipts",
            Self::Ledger => "ledger",
            Self::Limits => "limits",
            Self::Keys => "keys",
            Self::Events => "events",
            Self::Provider => "provider",
            Self::StaleWork => "stale_work",
        }
    }
}

/// Deliveries, leases, due payments and refunds, and calls under way may lie this long after their time. A delivery that fails
/// is tried for two and a half minutes before it is given up, and holds back the later ones of its trip; a call takes seconds.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// An attempt whose end nobody knows is asked after for this long; then the provider's memory of the key is about to end
/// (24 h), and it is a person's.
const UNKNOWN: TimeDelta = TimeDelta::hours(23);

/// A webhook that has not been delivered is given up after three days; a day more means that nobody does it.
const UNDELIVERED: TimeDelta = TimeDelta::days(4);

/// The effect of an idempotency key that is younger than this must still have its key. An hour less than keys are kept.
const KEYED: TimeDelta = TimeDelta::hours(23);

/// Moments before which something is too old, for one audit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Work whose time was before this is late.
    pub late: MachineTime,
    /// Attempts begun before this should be known by now.
    pub unknown: MachineTime,
    /// Webhooks on their way since before this should have been given up.
    pub undelivered: MachineTime,
    /// Effects made after this still have their key.
    pub keyed: MachineTime,
}

impl Limits {
    /// The limits as of `now`.
    pub fn at(now: MachineTime) -> Self {
        Self { late: now - LATE, unknown: now - UNKNOWN, undelivered: now - UNDELIVERED, keyed: now - KEYED }
    }
}

/// Something that breaks an invariant: an example that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Which one.
    pub invariant: Invariant,
    /// The thing at fault: its id, as it is written on the wire.
    pub subject: String,
    /// The trip it belongs to.
    pub trip_id: Option<TripId>,
    /// What is wrong with it: reads on from the subject.
    pub what: String,
}

/// What breaks one invariant: how much, and the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub violations: u64,
    /// At most twenty.
    pub examples: Vec<Example>,
}

/// Sums of money in minor units, by currency.
pub type Sums = BTreeMap<String, i64>;

/// Sums amounts by currency.
pub fn sums<'a>(amounts: impl Iterator<Item = (&'a str, i64)>) -> Sums {
    amounts.fold(Sums::new(), |mut sums, (currency, amount)| {
        let sum = sums.entry(currency.to_owned()).or_default();
        *sum = sum.saturating_add(amount);
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_kept_by_currency_and_never_wrap() {
        let all = sums([("USD", 1), ("EUR", 2), ("USD", 3)].into_iter());
        assert_eq!(all, Sums::from([("EUR".to_owned(), 2), ("USD".to_owned(), 4)]));
        assert_eq!(sums([("USD", i64::MAX), ("USD", 1)].into_iter())["USD"], i64::MAX);
    }
}
