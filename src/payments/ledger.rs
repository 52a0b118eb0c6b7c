//! The ledger's postings as values. Debits are positive, credits negative, in minor units. Invariant: a posting sums to zero.
//!
//! ```text
//! charge            debit rider_receivable    credit driver_payable, platform_revenue
//! tip               debit rider_receivable    credit driver_payable
//! capture           debit clearing            credit rider_receivable
//! refund            debit refunds             credit clearing
//! refund_reversal   debit clearing            credit refunds
//! write_off         debit bad_debt            credit rider_receivable
//! ```
//!
//! An authorization posts nothing: no money has moved, and none is owed yet. A tip is charged when it is captured, so it is never a
//! debt. The platform bears bad debt and refunds: the driver is paid in any case. A refund that fails after it succeeded is reversed by
//! a posting of its own. A dispute posts nothing: the provider's balance has it, and reconciliation reports it.

use uuid::Uuid;

use super::model::{Payment, PaymentPurpose, Refund};
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, Id, RiderId, TripId};
use crate::platform::money::{Currency, Money};
use crate::platform::names::string_enum;

string_enum! {
    /// An account of the ledger.
    pub enum AccountCode as "LedgerAccount" {
        /// What a rider owes: charged, and not captured yet.
        RiderReceivable = "rider_receivable",
        /// What a driver is owed.
        DriverPayable = "driver_payable",
        /// The platform's share of fares and fees, with the rounding.
        PlatformRevenue = "platform_revenue",
        /// Captured by the provider, and not paid out yet.
        Clearing = "clearing",
        /// Returned to riders.
        Refunds = "refunds",
        /// Owed by riders, and written off by an operator.
        BadDebt = "bad_debt",
    }

    /// Why a posting was made. Each kind is posted once for its source: a trip, a payment or a refund.
    pub enum PostingKind {
        /// The rider owes the total of a trip.
        Charge = "charge",
        /// The rider gave a tip.
        Tip = "tip",
        /// The provider captured a payment.
        Capture = "capture",
        /// The provider returned a refund.
        Refund = "refund",
        /// A refund failed after it had succeeded.
        RefundReversal = "refund_reversal",
        /// An operator wrote off what is owed of a payment.
        WriteOff = "write_off",
    }
}

/// An account with its owner. An account with an owner is kept once per rider or driver, the others once for the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerAccount {
    /// See [`AccountCode::RiderReceivable`].
    RiderReceivable(RiderId),
    /// See [`AccountCode::DriverPayable`].
    DriverPayable(DriverId),
    /// See [`AccountCode::PlatformRevenue`].
    PlatformRevenue,
    /// See [`AccountCode::Clearing`].
    Clearing,
    /// See [`AccountCode::Refunds`].
    Refunds,
    /// See [`AccountCode::BadDebt`].
    BadDebt,
}

impl LedgerAccount {
    /// Returns its code in the chart of accounts.
    pub fn code(self) -> AccountCode {
        match self {
            Self::RiderReceivable(_) => AccountCode::RiderReceivable,
            Self::DriverPayable(_) => AccountCode::DriverPayable,
            Self::PlatformRevenue => AccountCode::PlatformRevenue,
            Self::Clearing => AccountCode::Clearing,
            Self::Refunds => AccountCode::Refunds,
            Self::BadDebt => AccountCode::BadDebt,
        }
    }

    /// Returns its owner, where the account has one.
    pub fn owner(self) -> Option<Uuid> {
        match self {
            Self::RiderReceivable(rider) => Some(rider.uuid()),
            Self::DriverPayable(driver) => Some(driver.uuid()),
            Self::PlatformRevenue | Self::Clearing | Self::Refunds | Self::BadDebt => None,
        }
    }
}

/// A line of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The account.
    pub account: LedgerAccount,
    /// Minor units, never zero; positive: a debit, negative: a credit.
    pub amount: i64,
}

/// One business event, as entries that sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The posting's id.
    pub id: Uuid,
    /// Why it is made.
    pub kind: PostingKind,
    /// The trip of a charge, the refund of a refund and of its reversal, the payment of the others.
    pub source_id: Uuid,
    /// The trip.
    pub trip_id: TripId,
    /// When.
    pub at: DomainTime,
    /// The currency of all entries.
    pub currency: Currency,
    /// Two or more entries.
    pub entries: Vec<LedgerEntry>,
}

/// The id and the time of a posting.
#[derive(Debug, Clone, Copy)]
pub struct PostingStamp {
    /// The posting's id.
    pub id: Uuid,
    /// When.
    pub at: DomainTime,
}

/// What a rider is charged for a trip, and the driver's share of it.
#[derive(Debug, Clone, Copy)]
pub struct TripCharge {
    /// The trip.
    pub trip_id: TripId,
    /// The rider who owes it.
    pub rider_id: RiderId,
    /// The driver; `None` for a cancelled trip.
    pub driver_id: Option<DriverId>,
    /// The amount owed.
    pub total: Money,
    /// The driver's share, minor units; the rest is the platform's.
    pub driver_share: i64,
}

/// A charge whose parts do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a driver's share of {driver_share} in a charge of {total}")]
pub struct BadCharge {
    /// The charge, minor units.
    pub total: i64,
    /// The share, minor units.
    pub driver_share: i64,
}

/// Returns the posting of a charge. Without a driver the whole total is the platform's.
///
/// # Errors
/// [`BadCharge`] if the total is not positive, or the share is not a part of it.
pub fn charge(charge: &TripCharge, stamp: PostingStamp) -> Result<Posting, BadCharge> {
    let TripCharge { total, driver_share, .. } = *charge;
    if total.amount <= 0 || !(0..=total.amount).contains(&driver_share) {
        return Err(BadCharge { total: total.amount, driver_share });
    }
    let driver = charge.driver_id.map(|driver| (LedgerAccount::DriverPayable(driver), driver_share));
    let revenue = total.amount - driver.map_or(0, |(_, share)| share);
    let credits = driver.into_iter().chain([(LedgerAccount::PlatformRevenue, revenue)]);
    let entries = [(LedgerAccount::RiderReceivable(charge.rider_id), total.amount)]
        .into_iter()
        .chain(credits.map(|(account, share)| (account, -share)))
        .filter(|(_, amount)| *amount != 0)
        .map(|(account, amount)| LedgerEntry { account, amount })
        .collect();
    Ok(Posting {
        id: stamp.id,
        kind: PostingKind::Charge,
        source_id: charge.trip_id.uuid(),
        trip_id: charge.trip_id,
        at: stamp.at,
        currency: total.currency,
        entries,
    })
}

/// Returns the postings of a captured payment. A tip is charged at the same time, all of it to the driver's account.
pub fn capture(payment: &Payment, capture: PostingStamp, tip: PostingStamp) -> Vec<Posting> {
    let rider = LedgerAccount::RiderReceivable(payment.rider_id);
    let tipped = payment.driver_id.filter(|_| payment.purpose == PaymentPurpose::Tip).map(|driver| {
        let entries = transfer(payment.captured, rider, LedgerAccount::DriverPayable(driver));
        posting_of(payment, PostingKind::Tip, entries, tip)
    });
    let entries = transfer(payment.captured, LedgerAccount::Clearing, rider);
    let captured = posting_of(payment, PostingKind::Capture, entries, capture);
    tipped.into_iter().chain([captured]).collect()
}

/// Returns the posting of a write-off of `amount` minor units.
pub fn write_off(payment: &Payment, amount: i64, stamp: PostingStamp) -> Posting {
    let entries = transfer(amount, LedgerAccount::BadDebt, LedgerAccount::RiderReceivable(payment.rider_id));
    posting_of(payment, PostingKind::WriteOff, entries, stamp)
}

/// Returns the posting of a succeeded refund of `payment`.
pub fn refund(refund: &Refund, payment: &Payment, stamp: PostingStamp) -> Posting {
    let entries = transfer(refund.amount, LedgerAccount::Refunds, LedgerAccount::Clearing);
    Posting { source_id: refund.id.uuid(), ..posting_of(payment, PostingKind::Refund, entries, stamp) }
}

/// Returns the posting that reverses [`refund`], for one that failed after it had succeeded.
pub fn refund_reversal(refund: &Refund, payment: &Payment, stamp: PostingStamp) -> Posting {
    let entries = transfer(refund.amount, LedgerAccount::Clearing, LedgerAccount::Refunds);
    Posting { source_id: refund.id.uuid(), ..posting_of(payment, PostingKind::RefundReversal, entries, stamp) }
}

/// Returns a posting with a payment as its source.
fn posting_of(payment: &Payment, kind: PostingKind, entries: Vec<LedgerEntry>, stamp: PostingStamp) -> Posting {
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

/// Returns the entries that debit `amount` to one account and credit it to another.
fn transfer(amount: i64, debit: LedgerAccount, credit: LedgerAccount) -> Vec<LedgerEntry> {
    vec![LedgerEntry { account: debit, amount }, LedgerEntry { account: credit, amount: -amount }]
}

#[cfg(test)]
mod tests;
