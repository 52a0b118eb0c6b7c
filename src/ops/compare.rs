//! Our books against the provider's: the one comparison behind the audit's eighth invariant and behind reconciliation.
//!
//! *The order, and why it raises no false alarm on a live system.* The two books cannot be read at one moment. Read the
//! provider first, and every trip that was paid meanwhile looks as if we had made it up; read it second, and it may know of a
//! refund that began after our snapshot. So: our snapshot, the provider's books, and if they differ a second look at our side
//! of each difference. Only payments of trips that were settled in the snapshot are judged: nobody was at work on them. A
//! difference counts only if our side of it was the same, and still settled, after the provider's books were read. Every call
//! to the provider is recorded before it is made and after, so such a payment had no call in between, and both books spoke of
//! the same state of it. An intent that no payment of ours is known for counts only if there is still none at the second look.

use std::collections::HashSet;

use uuid::Uuid;

use super::model::books::{Difference, From, OurPayment, apart, compare, confirm};
use super::model::findings::Looked;
use super::model::{Limits, Sums, sums};
use super::store::{self, Which};
use crate::payments::{self, Gateway, ProviderBooks};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::db::Conn;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId};

/// What one snapshot says of our side.
#[derive(Debug)]
pub(super) struct OurBooks {
    /// When it was taken.
    pub taken_at: MachineTime,
    /// Trips that are over and have unfinished work; they are not compared.
    pub unsettled: Vec<Uuid>,
    /// The payments in scope.
    pub payments: Vec<OurPayment>,
    /// Of which time they are; all if absent.
    pub since: Option<MachineTime>,
}

/// Our books compared with the provider's.
#[derive(Debug)]
pub(super) struct Comparison {
    /// When our side was read.
    pub checked_at: MachineTime,
    /// Why the provider's books could not be read, if they could not: then nothing is known.
    pub unchecked: Option<String>,
    /// Trips that are over and have unfinished work; they are not compared.
    pub unsettled: usize,
    /// Captured, by our books.
    pub ours: Sums,
    /// Captured, by the provider's.
    pub theirs: Sums,
    /// How many payments of ours there were, intents and refunds of the provider.
    pub sizes: (usize, usize, usize),
    /// How many of the intents are somebody else's.
    pub foreign: usize,
    /// Every difference that stood.
    pub differences: Vec<Difference>,
    /// What was looked at.
    pub looked: Looked,
}

/// Reads our side, inside a snapshot.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn our_books(conn: &mut Conn, taken_at: MachineTime, since: Option<MachineTime>) -> Result<OurBooks> {
    let unsettled = store::unsettled(conn, Limits::at(taken_at)).await?;
    let payments = store::books(conn, &unsettled, Which { from: scope(since), only: None }).await?;
    Ok(OurBooks { taken_at, unsettled, payments, since })
}

/// The first payment that could have been made at `since`: ids start with the moment of their making.
fn scope(since: Option<MachineTime>) -> From {
    since.map(|since| PaymentId::from(store::first_id_of(since)))
}

/// Reads the provider's side, and compares. A provider that does not show its books is no error.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn with_provider(platform: &Platform, gateway: &Gateway, ours: OurBooks) -> Result<Comparison> {
    let mut comparison = Comparison {
        checked_at: ours.taken_at,
        unchecked: None,
        unsettled: ours.unsettled.len(),
        ours: sums(ours.payments.iter().map(|payment| (payment.currency.as_str(), payment.captured))),
        theirs: Sums::new(),
        sizes: (ours.payments.len(), 0, 0),
        foreign: 0,
        differences: Vec::new(),
        looked: Looked::default(),
    };
    let theirs = match their_books(platform, gateway, ours.since).await {
        Ok(theirs) => theirs,
        Err(why) => {
            tracing::warn!(why, "the provider's books could not be read: unchecked");
            comparison.unchecked = Some(why);
            return Ok(comparison);
        }
    };
    let (concerning, foreign) = apart(&ours.payments, &theirs);
    comparison.theirs = sums(concerning.iter().map(|intent| (intent.currency.as_str(), intent.amount_received)));
    comparison.foreign = foreign.len();
    comparison.sizes = (ours.payments.len(), theirs.intents.len(), theirs.refunds.len());

    let seen = compare(&ours.payments, &theirs, scope(ours.since));
    let differing: HashSet<PaymentId> = seen.iter().filter_map(|difference| difference.payment_id).collect();
    if !seen.is_empty() {
        let now = look_again(platform, differing.iter().map(|id| id.uuid()).collect()).await?;
        comparison.differences = confirm(seen, &ours.payments, &now);
    }
    let standing: HashSet<PaymentId> =
        comparison.differences.iter().filter_map(|difference| difference.payment_id).collect();
    let settled = ours.payments.iter().filter(|payment| payment.settled).map(|payment| payment.id);
    comparison.looked = Looked {
        at: settled.filter(|id| standing.contains(id) || !differing.contains(id)).collect(),
        everywhere: ours.since.is_none(),
    };
    Ok(comparison)
}

/// The provider's books, or why there are none. Reading them may take minutes; a process that is to end does not wait for it.
async fn their_books(
    platform: &Platform,
    gateway: &Gateway,
    since: Option<MachineTime>,
) -> std::result::Result<ProviderBooks, String> {
    tokio::select! {
        books = payments::books(gateway, since) => books.map_err(|error| error.to_string()),
        () = platform.shutdown.cancelled() => Err("the process was about to end".to_owned()),
    }
}

/// Our side of each difference, as it is now.
async fn look_again(platform: &Platform, ids: Vec<Uuid>) -> Result<Vec<OurPayment>> {
    let limits = Limits::at(platform.clock.machine());
    platform
        .db
        .snapshot(ids, move |conn, ids| {
            Box::pin(async move {
                let unsettled = store::unsettled(conn, limits).await?;
                store::books(conn, &unsettled, Which { from: None, only: Some(ids) }).await
            })
        })
        .await
}
