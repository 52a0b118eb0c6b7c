//! Compares our records with the provider's, for reconciliation and for the audit's invariant `provider`: window by window, so that
//! what is in memory does not grow with the number of payments.
//!
//! A window is compared in two steps. The first reads the provider's lists of intents, refunds and disputes that were created in the
//! window, page by page, then our payments and refunds that were made in it, and looks for *suspects*: payments whose records do not
//! agree, or whose intent or refund is not in the lists. A refund or a dispute is found in the window of its own creation, however old
//! its payment is. The second step compares each suspect by itself.
//!
//! The two sides cannot be read at one moment, so the first step proves nothing. The second raises no false alarms on a live system:
//!
//! - It reads our side, then the provider's records of the payment, then our side again. A difference counts only if our side was the
//!   same in both reads. Every call to the provider is recorded before and after it is made, so no call happened between the two
//!   reads, and both sides show the same state.
//! - Only payments of settled trips are compared, so nothing was working on them.
//! - An intent for a payment that we do not have counts, because a payment is committed before its intent is created, and we look for
//!   the payment after the intent was listed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::model::differences::{Difference, LocalPayment, compare, is_same, partition_foreign, retain_unchanged};
use super::model::kinds::DifferenceKind;
use super::model::windows::{self, PAYMENTS_MAX, Window, WindowBounds};
use super::model::{CurrencyTotals, SettlementLimits, add_amount};
use super::store::{self, IdRange};
use crate::payments::model::RefundState;
use crate::payments::{self, CreatedRange, ProviderClient, ProviderRecords, RecordList};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Result};
use crate::platform::ids::{Id, PaymentId};

/// Our payments, or refunds, that are read at once.
const PAGE: i64 = 1_000;

/// The payments that are compared by themselves at once: their provider's records are read between two reads of our side.
const SUSPECTS_AT_ONCE: usize = 50;

/// The most suspects of one window that are compared. More indicate a wrong account or an empty database.
const SUSPECTS_MAX: usize = 2_000;

/// Payments to compare by themselves, each with the provider's intents that concern it besides its own.
pub(crate) type Suspects = BTreeMap<PaymentId, BTreeSet<String>>;

/// Why a comparison was not finished.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// The provider's records cannot be read: the result is unknown.
    Provider(String),
    /// The process shuts down.
    Shutdown,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What the first step has found in a window.
#[derive(Debug, Default)]
pub(crate) struct WindowScan {
    /// The number of our payments.
    pub payments: usize,
    /// The number of the provider's intents.
    pub intents: usize,
    /// The number of intents that another system made.
    pub foreign_intents: usize,
    /// The number of the provider's refunds.
    pub refunds: usize,
    /// The captured amounts in our records.
    pub captured_here: CurrencyTotals,
    /// The captured amounts in the provider's records, without foreign intents.
    pub captured_at_provider: CurrencyTotals,
    /// The payments to compare by themselves.
    pub suspects: Suspects,
    /// Intents that name a payment that we do not have.
    pub unknown: Vec<Difference>,
    /// Whether there were more suspects than are compared.
    pub has_more: bool,
    /// The listed intents and refunds of payments of ours.
    seen: HashSet<String>,
}

/// The result of comparing payments by themselves.
#[derive(Debug, Default)]
pub(crate) struct ConfirmedDifferences {
    /// The payments that were compared. Others changed meanwhile, or their trip is not settled.
    pub compared: HashSet<PaymentId>,
    /// The differences.
    pub differences: Vec<Difference>,
}

impl WindowScan {
    fn suspect(&mut self, payment: PaymentId, intent: Option<&String>) {
        let is_known = self.suspects.contains_key(&payment);
        if !is_known && self.suspects.len() >= SUSPECTS_MAX {
            self.has_more = true;
            return;
        }
        self.suspects.entry(payment).or_default().extend(intent.cloned());
    }
}

/// Reads both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparer<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The provider.
    pub client: &'a ProviderClient,
}

impl Comparer<'_> {
    /// Returns the next window from `position` on, and the position after it; `None` after the last one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_window(
        self,
        position: Option<MachineTime>,
        started_at: MachineTime,
    ) -> Result<Option<(Window, MachineTime)>> {
        let read = self.platform.db.read((position, started_at), |conn, (position, started_at)| {
            Box::pin(async move {
                Ok(match position {
                    None => (store::first_payment(conn).await?, None),
                    Some(from) => (None, store::payment_after(conn, (*from, *started_at), PAYMENTS_MAX).await?),
                })
            })
        });
        let (first_payment, overfull) = read.await?;
        Ok(windows::next_window(WindowBounds { position, started_at, first_payment }, overfull))
    }

    /// Reads a window of both sides and looks for suspects. Intents that name a payment that we do not have are differences already.
    ///
    /// # Errors
    /// If the provider does not answer, the process shuts down, or the database fails.
    pub async fn scan(self, window: Window) -> Result<WindowScan, Interrupted> {
        let mut scan = WindowScan::default();
        let unsettled = self.unsettled().await?;
        for list in RecordList::ALL {
            self.scan_list(list, window, (&unsettled, &mut scan)).await?;
        }
        self.scan_ours(window, &unsettled, &mut scan).await?;
        Ok(scan)
    }

    /// Compares payments by themselves.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub async fn payments(self, suspects: &Suspects) -> Result<ConfirmedDifferences, Interrupted> {
        let mut confirmed = ConfirmedDifferences::default();
        let suspects: Vec<_> = suspects.iter().collect();
        for chunk in suspects.chunks(SUSPECTS_AT_ONCE) {
            let ids: Vec<Uuid> = chunk.iter().map(|(id, _)| id.uuid()).collect();
            let before = self.local(ids.clone()).await?;
            let more: HashMap<PaymentId, &BTreeSet<String>> = chunk.iter().map(|(id, more)| (**id, *more)).collect();
            let mut found = Vec::new();
            for payment in before.iter().filter(|payment| payment.settled) {
                let mut intents = more.get(&payment.id).copied().cloned().unwrap_or_default();
                intents.extend(payment.intent_id.clone());
                let theirs = self.provider(payments::records_of(self.client, &intents)).await?;
                let differences = compare(std::slice::from_ref(payment), &theirs);
                // An intent may name a payment besides this one.
                found.extend(differences.into_iter().filter(|one| one.kind != DifferenceKind::UnknownToUs));
            }
            let after = self.local(ids).await?;
            let unchanged = before.iter().filter(|payment| payment.settled && after.contains(payment));
            confirmed.compared.extend(unchanged.map(|payment| payment.id));
            confirmed.differences.extend(retain_unchanged(found, &before, &after));
        }
        Ok(confirmed)
    }

    /// Returns whether the provider still has an intent.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub async fn has_intent(self, intent: &str) -> Result<bool, Interrupted> {
        Ok(self.provider(payments::intent_record(self.client, intent)).await?.is_some())
    }

    /// Compares a list of the provider's with our payments, page by page.
    async fn scan_list(
        self,
        list: RecordList,
        window: Window,
        (unsettled, scan): (&[Uuid], &mut WindowScan),
    ) -> Result<(), Interrupted> {
        let range = CreatedRange { from: window.from, until: window.until };
        let mut after = None;
        loop {
            let (page, next) = self.provider(payments::record_page(self.client, list, range, after)).await?;
            self.scan_page(&page, unsettled, scan).await?;
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn scan_page(self, page: &ProviderRecords, unsettled: &[Uuid], scan: &mut WindowScan) -> Result<()> {
        let ids: Vec<Uuid> = page.intents.iter().filter_map(|intent| Some(intent.payment_id?.uuid())).collect();
        let unnamed = page.intents.iter().filter(|intent| intent.payment_id.is_none()).map(|intent| intent.id.clone());
        let of_refunds = page.refunds.iter().filter_map(|refund| refund.intent_id.clone());
        let of_disputes = page.disputes.iter().filter_map(|dispute| dispute.intent_id.clone());
        let intents: Vec<String> = unnamed.chain(of_refunds).chain(of_disputes).collect();
        let input = (ids, intents, unsettled.to_vec());
        let read = self.platform.db.read(input, |conn, (ids, intents, unsettled)| {
            Box::pin(store::payments_named(conn, unsettled, (ids, intents)))
        });
        let mut ours = read.await?;
        for payment in &mut ours {
            payment.refunds.retain(|ours| page.refunds.iter().any(|theirs| is_same(ours, theirs)));
        }
        let own = ours.iter().filter_map(|payment| payment.intent_id.clone());
        let listed: HashSet<&str> = page.intents.iter().map(|intent| intent.id.as_str()).collect();
        scan.seen.extend(own.filter(|intent| listed.contains(intent.as_str())));
        scan.seen.extend(ours.iter().flat_map(|payment| &payment.refunds).filter_map(|ours| ours.provider_id.clone()));

        let (concerning_us, foreign) = partition_foreign(&ours, page);
        scan.intents += page.intents.len();
        scan.refunds += page.refunds.len();
        scan.foreign_intents += foreign.len();
        for intent in concerning_us {
            add_amount(&mut scan.captured_at_provider, &intent.currency, intent.amount_received);
        }
        for difference in compare(&ours, page) {
            match (difference.kind, difference.payment_id) {
                // Only this page was compared: its other records may be on another one.
                (DifferenceKind::MissingAtProvider, _) => {}
                (DifferenceKind::UnknownToUs, _) => {
                    if scan.unknown.len() < SUSPECTS_MAX {
                        scan.unknown.push(difference);
                    } else {
                        scan.has_more = true;
                    }
                }
                (_, Some(payment)) => scan.suspect(payment, difference.intent_id.as_ref()),
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// Looks for our payments and refunds of the window that the provider did not list.
    async fn scan_ours(self, window: Window, unsettled: &[Uuid], scan: &mut WindowScan) -> Result<()> {
        let range = IdRange::made(window.from, window.until);
        let mut after = None;
        loop {
            let input = (range.after(after), unsettled.to_vec());
            let read = self
                .platform
                .db
                .read(input, |conn, (range, unsettled)| Box::pin(store::payments_made(conn, unsettled, *range, PAGE)));
            let page = read.await?;
            for payment in &page {
                add_amount(&mut scan.captured_here, &payment.currency, payment.captured);
                let is_missing = payment.intent_id.as_ref().is_some_and(|intent| !scan.seen.contains(intent));
                if payment.settled && is_missing {
                    scan.suspect(payment.id, None);
                }
            }
            scan.payments += page.len();
            after = page.last().map(|last| last.id.uuid());
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }
        self.scan_our_refunds(range, scan).await
    }

    async fn scan_our_refunds(self, range: IdRange, scan: &mut WindowScan) -> Result<()> {
        let mut after = None;
        loop {
            let read = self
                .platform
                .db
                .read(range.after(after), |conn, range| Box::pin(store::refunds_made(conn, *range, PAGE)));
            let page = read.await?;
            for (payment, refund) in &page {
                // A refund without a provider id was not made yet, or failed.
                let should_be_there = refund.provider_id.is_some() || refund.state == RefundState::Succeeded;
                if should_be_there && refund.provider_id.as_ref().is_none_or(|id| !scan.seen.contains(id)) {
                    scan.suspect(*payment, None);
                }
            }
            after = page.last().map(|(_, last)| last.id.uuid());
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    async fn unsettled(self) -> Result<Vec<Uuid>> {
        let limits = SettlementLimits::at(self.platform.clock.machine());
        self.platform.db.read(limits, |conn, limits| Box::pin(store::unsettled_trips(conn, *limits))).await
    }

    /// Reads our side of these payments, in one snapshot.
    async fn local(self, ids: Vec<Uuid>) -> Result<Vec<LocalPayment>> {
        let limits = SettlementLimits::at(self.platform.clock.machine());
        let read = self.platform.db.snapshot(ids, move |conn, ids| {
            Box::pin(async move {
                let unsettled = store::unsettled_trips(conn, limits).await?;
                store::payments_named(conn, &unsettled, (ids, &[])).await
            })
        });
        read.await
    }

    /// Waits for the provider, but not at a shutdown: a read can be one of thousands.
    async fn provider<T>(self, read: impl Future<Output = Result<T>>) -> Result<T, Interrupted> {
        tokio::select! {
            end = read => end.map_err(|error| match error {
                Error::Refused(refusal) if refusal.code == Code::Unavailable => Interrupted::Provider(refusal.detail.clone()),
                error => Interrupted::Failed(error),
            }),
            () = self.platform.shutdown.cancelled() => Err(Interrupted::Shutdown),
        }
    }
}
