//! The ledger's postings, as values. Debits are positive, credits negative, in minor units, and a posting sums to zero.
//!
//! ```text
//! charge      debit rider_receivable    credit driver_payable, platform_revenue
//! tip         debit rider_receivable    credit driver_payable
//! capture     debit clearing            credit rider_receivable
//! refund      debit refunds             credit clearing
//! write_off   debit bad_debt            credit rider_receivable
//! ```
//!
//! An authorisation posts nothing: no money has moved, and none is owed yet. A tip is charged in the moment in which it is
//! captured, so that it is never a debt. The driver is paid whether or not the rider pays: bad debt and refunds are the house's.

use uuid::Uuid;

use super::model::{Payment, Purpose, Refund};
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, Id, RiderId, TripId};
use crate::platform::money::{Currency, Money};

/// An account. Those with an owner are kept per rider or driver, the others once for the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// What a rider owes us: charged, and not captured yet.
    RiderReceivable(RiderId),
    /// What we owe a driver.
    DriverPayable(DriverId),
    /// Our share, with the rounding.
    PlatformRevenue,
    /// Captured by the provider, on its way to us.
    Clearing,
    /// Given back to riders.
    Refunds,
    /// Owed by riders, and given up by an operator.
    BadDebt,
}

impl Account {
    /// Its code in the chart of accounts.
    pub fn code(self) -> &'static str {
        match self {
            Self::RiderReceivable(_) => "rider_receivable",
            Self::DriverPayable(_) => "driver_payable",
            Self::PlatformRevenue => "platform_revenue",
            Self::Clearing => "clearing",
            Self::Refunds => "refunds",
            Self::BadDebt => "bad_debt",
        }
    }

    /// Whose it is, where it is somebody's.
    pub fn owner(self) -> Option<Uuid> {
        match self {
            Self::RiderReceivable(rider) => Some(rider.uuid()),
            Self::DriverPayable(driver) => Some(driver.uuid()),
            Self::PlatformRevenue | Self::Clearing | Self::Refunds | Self::BadDebt => None,
        }
    }
}

/// Why something is posted. Each is posted once for its source: the trip, the payment or the refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A rider owes the total of a trip.
    Charge,
    /// A rider gave a tip.
    Tip,
    /// The provider took a payment.
    Capture,
    /// The provider gave a refund back.
    Refund,
    /// An operator gave up what is owed of a payment.
    WriteOff,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Charge, Self::Tip, Self::Capture, Self::Refund, Self::WriteOff];

    /// Its name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Tip => "tip",
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::WriteOff => "write_off",
        }
    }
}

/// One line of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Minor units; a debit is positive, a credit negative; never zero.
    pub amount: i64,
}

/// What happened once, in entries that sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Its id.
    pub id: Uuid,
    /// Why.
    pub kind: Kind,
    /// The trip charged, the refund made, or the payment that the rest is about.
    pub source_id: Uuid,
    /// The trip that it concerns.
    pub trip_id: TripId,
    /// When.
    pub at: DomainTime,
    /// The currency of all its entries.
    pub currency: Currency,
    /// Two or more of them.
    pub entries: Vec<Entry>,
}

/// When a posting is made, and under which id.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// The posting's id.
    pub id: Uuid,
    /// When.
    pub at: DomainTime,
}

/// What a rider is charged for a trip, and how it is shared.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    /// The trip.
    pub trip_id: TripId,
    /// Who owes it.
    pub rider_id: RiderId,
    /// Who drove, if anybody did.
    pub driver_id: Option<DriverId>,
    /// What is owed.
    pub total: Money,
    /// The driver's part of it, minor units; the rest is ours.
    pub driver_share: i64,
}

/// A charge whose parts do not make it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a driver's share of {driver_share} in a charge of {total}")]
pub struct BadCharge {
    /// The charge, minor units.
    pub total: i64,
    /// The share, minor units.
    pub driver_share: i64,
}

/// Posts that a rider owes the total of a trip. A share without a driver is ours.
///
/// # Errors
/// [`BadCharge`] if the total is not positive, or the share is not a part of it.
pub fn charge(charge: &Charge, stamp: Stamp) -> Result<Posting, BadCharge> {
    let Charge { total, driver_share, .. } = *charge;
    if total.amount <= 0 || !(0..=total.amount).contains(&driver_share) {
        return Err(BadCharge { total: total.amount, driver_share });
    }
    let driver = charge.driver_id.map(|driver| (Account::DriverPayable(driver), driver_share));
    let ours = total.amount - driver.map_or(0, |(_, share)| share);
    let credits = driver.into_iter().chain([(Account::PlatformRevenue, ours)]);
    let entries = [(Account::RiderReceivable(charge.rider_id), total.amount)]
        .into_iter()
        .chain(credits.map(|(account, share)| (account, -share)))
        .filter(|(_, amount)| *amount != 0)
        .map(|(account, amount)| Entry { account, amount })
        .collect();
    Ok(Posting {
        id: stamp.id,
        kind: Kind::Charge,
        source_id: charge.trip_id.uuid(),
        trip_id: charge.trip_id,
        at: stamp.at,
        currency: total.currency,
        entries,
    })
}

/// Posts that the provider took what `payment` has captured; a tip is charged at the same time, and all of it is the driver's.
/// Each posting under the stamp of its name.
pub fn capture(payment: &Payment, capture: Stamp, tip: Stamp) -> Vec<Posting> {
    let rider = Account::RiderReceivable(payment.rider_id);
    let tipped = payment
        .driver_id
        .filter(|_| payment.purpose == Purpose::Tip)
        .map(|driver| about(payment, Kind::Tip, moved(payment.captured, rider, Account::DriverPayable(driver)), tip));
    let captured = about(payment, Kind::Capture, moved(payment.captured, Account::Clearing, rider), capture);
    tipped.into_iter().chain([captured]).collect()
}

/// Posts that `amount` minor units, owed of `payment`, will not be had.
pub fn write_off(payment: &Payment, amount: i64, stamp: Stamp) -> Posting {
    let entries = moved(amount, Account::BadDebt, Account::RiderReceivable(payment.rider_id));
    about(payment, Kind::WriteOff, entries, stamp)
}

/// Posts that the provider gave back `refund`, a part of `payment`.
pub fn refund(refund: &Refund, payment: &Payment, stamp: Stamp) -> Posting {
    let entries = moved(refund.amount, Account::Refunds, Account::Clearing);
    Posting { source_id: refund.id.uuid(), ..about(payment, Kind::Refund, entries, stamp) }
}

/// A posting about a payment.
fn about(payment: &Payment, kind: Kind, entries: Vec<Entry>, stamp: Stamp) -> Posting {
    Posting {
        id: stamp.id,
        kind,
        source_id: payment.id.uuid(),
        trip_id: payment.trip_id,
        at: stamp.at,
        currency: payment.amount.currency,
        entries,
    }
}

/// `amount` debited to one account and credited to another.
fn moved(amount: i64, debit: Account, credit: Account) -> Vec<Entry> {
    vec![Entry { account: debit, amount }, Entry { account: credit, amount: -amount }]
}

#[cfg(test)]
mod tests;
