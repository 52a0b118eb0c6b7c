//! Reads our records and the provider's, and compares them, for reconciliation and for the audit's invariant `provider`.
//!
//! The two sides cannot be read at one moment. If the provider is read first, every trip paid meanwhile looks invented; if it is
//! read second, it may contain a refund that started after our snapshot. So the order is: a snapshot of our side, the provider's
//! records, and a second read of our side of each difference. This raises no false alarms on a live system:
//!
//! - Only payments of trips that were settled in the snapshot are compared, so nothing was working on them.
//! - A difference counts only if our side was the same, and still settled, in the second read. Every call to the provider is
//!   recorded before and after it is made, so no call happened between the two reads, and both sides show the same state.
//! - An intent for a payment that the snapshot does not contain counts only if the second read does not find it either.

use std::collections::HashSet;

use uuid::Uuid;

use super::model::differences::{Difference, LocalPayment, compare, partition_foreign, retain_unchanged};
use super::model::findings::Coverage;
use super::model::{CurrencyTotals, SettlementLimits, first_id_at, totals_by_currency};
use super::store::{self, PaymentFilter};
use crate::payments::{self, ProviderClient, ProviderRecords};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::db::Conn;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId};

/// Our side, as one snapshot contains it.
#[derive(Debug)]
pub(crate) struct LocalRecords {
    /// When the snapshot was taken.
    pub taken_at: MachineTime,
    /// Trips that are over and have open work; their payments are not compared.
    pub unsettled: Vec<Uuid>,
    /// The payments in scope.
    pub payments: Vec<LocalPayment>,
    /// Only payments made since then are in scope; all if absent.
    pub since: Option<MachineTime>,
}

/// The result of comparing both sides.
#[derive(Debug)]
pub(crate) struct RecordComparison {
    /// When our side was read.
    pub checked_at: MachineTime,
    /// Why the provider's records could not be read, if so: then the result is unknown.
    pub unchecked: Option<String>,
    /// The number of trips that are over and have open work.
    pub unsettled: usize,
    /// The captured amounts in our records.
    pub captured_here: CurrencyTotals,
    /// The captured amounts in the provider's records, without foreign intents.
    pub captured_at_provider: CurrencyTotals,
    /// The number of our payments.
    pub payments: usize,
    /// The number of the provider's intents.
    pub intents: usize,
    /// The number of the provider's refunds.
    pub refunds: usize,
    /// The number of intents that another system made.
    pub foreign_intents: usize,
    /// The confirmed differences.
    pub differences: Vec<Difference>,
    /// What was compared.
    pub coverage: Coverage,
}

/// Reads our side, inside a snapshot.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn local_records(
    conn: &mut Conn,
    taken_at: MachineTime,
    since: Option<MachineTime>,
) -> Result<LocalRecords> {
    let unsettled = store::unsettled_trips(conn, SettlementLimits::at(taken_at)).await?;
    let filter = PaymentFilter { first: first_payment(since), only: None };
    let payments = store::local_payments(conn, &unsettled, filter).await?;
    Ok(LocalRecords { taken_at, unsettled, payments, since })
}

/// Returns the first payment id that can have been made at `since`.
fn first_payment(since: Option<MachineTime>) -> Option<PaymentId> {
    since.map(|since| PaymentId::from(first_id_at(since)))
}

/// Reads the provider's side and compares. A provider that does not answer is no error: the result is `unchecked`.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn with_provider(
    platform: &Platform,
    client: &ProviderClient,
    local: LocalRecords,
) -> Result<RecordComparison> {
    let ours = &local.payments;
    let mut comparison = RecordComparison {
        checked_at: local.taken_at,
        unchecked: None,
        unsettled: local.unsettled.len(),
        captured_here: totals_by_currency(ours.iter().map(|payment| (payment.currency.as_str(), payment.captured))),
        captured_at_provider: CurrencyTotals::new(),
        payments: ours.len(),
        intents: 0,
        refunds: 0,
        foreign_intents: 0,
        differences: Vec::new(),
        coverage: Coverage::default(),
    };
    let theirs = match provider_records(platform, client, local.since).await {
        Ok(theirs) => theirs,
        Err(why) => {
            tracing::warn!(why, "the provider's records could not be read");
            comparison.unchecked = Some(why);
            return Ok(comparison);
        }
    };
    let (concerning_us, foreign) = partition_foreign(ours, &theirs);
    let received = concerning_us.iter().map(|intent| (intent.currency.as_str(), intent.amount_received));
    comparison.captured_at_provider = totals_by_currency(received);
    comparison.intents = theirs.intents.len();
    comparison.refunds = theirs.refunds.len();
    comparison.foreign_intents = foreign.len();

    let candidates = compare(ours, &theirs, first_payment(local.since));
    let differing: HashSet<PaymentId> = candidates.iter().filter_map(|difference| difference.payment_id).collect();
    if !candidates.is_empty() {
        let now = read_again(platform, differing.iter().map(|id| id.uuid()).collect()).await?;
        comparison.differences = retain_unchanged(candidates, ours, &now);
    }
    let confirmed: HashSet<PaymentId> =
        comparison.differences.iter().filter_map(|difference| difference.payment_id).collect();
    let settled = ours.iter().filter(|payment| payment.settled).map(|payment| payment.id);
    comparison.coverage = Coverage {
        payments: settled.filter(|id| confirmed.contains(id) || !differing.contains(id)).collect(),
        is_complete: local.since.is_none(),
    };
    Ok(comparison)
}

/// Returns the provider's records, or why they cannot be read. Reading can take minutes, so a shutdown stops it.
async fn provider_records(
    platform: &Platform,
    client: &ProviderClient,
    since: Option<MachineTime>,
) -> std::result::Result<ProviderRecords, String> {
    tokio::select! {
        records = payments::provider_records(client, since) => records.map_err(|error| error.to_string()),
        () = platform.shutdown.cancelled() => Err("the process is shutting down".to_owned()),
    }
}

/// Reads our side of the differing payments again.
async fn read_again(platform: &Platform, ids: Vec<Uuid>) -> Result<Vec<LocalPayment>> {
    let limits = SettlementLimits::at(platform.clock.machine());
    platform
        .db
        .snapshot(ids, move |conn, ids| {
            Box::pin(async move {
                let unsettled = store::unsettled_trips(conn, limits).await?;
                store::local_payments(conn, &unsettled, PaymentFilter { first: None, only: Some(ids) }).await
            })
        })
        .await
}
