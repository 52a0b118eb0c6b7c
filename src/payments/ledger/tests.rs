use proptest::prelude::*;

use super::*;
use crate::payments::model::{Goal, PaymentState, RefundState};
use crate::payments::state_machine::resolve::{self, PaymentResolution, ResolveAction};
use crate::payments::state_machine::{self, IntentObservation, IntentSnapshot, IntentStatus};

fn posting(driver_id: Option<DriverId>, total: i64, driver_share: i64) -> Result<Posting, BadCharge> {
    let (trip_id, rider_id) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
    let total = Money::new(total, Currency::USD);
    let at = DomainTime::new(chrono::DateTime::UNIX_EPOCH);
    charge(&TripCharge { trip_id, rider_id, driver_id, total, driver_share }, PostingStamp { id: Uuid::nil(), at })
}

proptest! {
    #[test]
    fn every_charge_sums_to_zero_and_has_no_empty_entry(
        (total, share) in (1_i64..).prop_flat_map(|total| (Just(total), 0..=total)),
        has_driver: bool,
    ) {
        let driver = has_driver.then(|| Uuid::from_u128(3).into());
        let posting = posting(driver, total, share).expect("the share is a part");
        prop_assert_eq!(posting.entries.iter().map(|entry| i128::from(entry.amount)).sum::<i128>(), 0);
        prop_assert!(posting.entries.len() >= 2);
        prop_assert!(posting.entries.iter().all(|entry| entry.amount != 0));
    }
}

/// Returns a payment of 1,000 with the goal to capture all of it.
fn payment(purpose: PaymentPurpose) -> Payment {
    Payment {
        id: Uuid::from_u128(4).into(),
        trip_id: Uuid::from_u128(1).into(),
        rider_id: Uuid::from_u128(2).into(),
        driver_id: (purpose == PaymentPurpose::Tip).then(|| Uuid::from_u128(3).into()),
        purpose,
        replaces: None,
        state: PaymentState::Authorizing,
        goal: Goal::Capture(1_000),
        amount: Money::new(1_000, Currency::USD),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: "pm_card_visa".to_owned(),
        provider_intent_id: Some("pi_1".to_owned()),
        decline_code: None,
        dispute: None,
        needs_review: None,
        failures: 0,
        lease_token: 1,
        version: 1,
        trace_id: None,
    }
}

/// Any event of a payment: an observation, or an operator's decision.
fn any_event() -> impl Strategy<Value = Result<IntentObservation, ResolveAction>> {
    let status = prop::sample::select(IntentStatus::ALL.to_vec());
    let snapshot = (status, 0..=1_001_i64, 0..=1_001_i64).prop_map(|(status, capturable, received)| {
        Ok(IntentObservation::Snapshot(IntentSnapshot { status, capturable, received, decline_code: None }))
    });
    prop_oneof![3 => snapshot, 1 => prop::sample::select(ResolveAction::ALL.to_vec()).prop_map(Err)]
}

proptest! {
    /// For any history of a fare or a tip, replacements included: the rider owes what was charged and neither captured nor written
    /// off. Once the payment has ended and needs no review, the rider owes nothing.
    #[test]
    fn receivable_is_charged_minus_captured_minus_written_off(
        purpose in prop::sample::select(vec![PaymentPurpose::Fare, PaymentPurpose::Tip]),
        history in prop::collection::vec(any_event(), 0..24),
    ) {
        let stamp = PostingStamp { id: Uuid::nil(), at: DomainTime::new(chrono::DateTime::UNIX_EPOCH) };
        let mut now = payment(purpose);
        let mut postings = Vec::new();
        if purpose == PaymentPurpose::Fare {
            postings.push(posting(Some(Uuid::from_u128(3).into()), 1_000, 750).expect("a part"));
        }
        let replace = |old: &Payment, amount: i64| Payment {
            replaces: Some(old.id),
            goal: Goal::Capture(amount),
            amount: old.money(amount),
            ..payment(purpose)
        };
        for event in history {
            let before = now.clone();
            match event {
                Ok(observation) => {
                    now = state_machine::observe(&before, &observation);
                    if now.state == PaymentState::Captured && before.state != PaymentState::Captured {
                        postings.extend(capture(&now, stamp, stamp));
                    }
                    if before.state != now.state && let Some(Goal::Capture(amount)) = state_machine::replacement(&now) {
                        now = replace(&now, amount);
                    }
                }
                Err(action) => match resolve::payment(&before, action) {
                    Ok(PaymentResolution::Retry(after)) => now = after,
                    Ok(PaymentResolution::Replace(after, amount)) => now = replace(&after, amount),
                    Ok(PaymentResolution::Close(after, amount)) => {
                        postings.extend((amount > 0).then(|| write_off(&after, amount, stamp)));
                        now = after;
                    }
                    Err(_) => {}
                },
            }
        }
        let sum = |kind: Option<PostingKind>, code: AccountCode| -> i64 {
            let wanted = postings.iter().filter(|posting| kind.is_none_or(|kind| posting.kind == kind));
            wanted.flat_map(|posting| &posting.entries).filter(|entry| entry.account.code() == code).map(|entry| entry.amount).sum()
        };
        prop_assert!(postings.iter().all(|posting| posting.entries.iter().map(|entry| entry.amount).sum::<i64>() == 0));
        let charged = sum(Some(PostingKind::Charge), AccountCode::RiderReceivable) + sum(Some(PostingKind::Tip), AccountCode::RiderReceivable);
        let receivable = sum(None, AccountCode::RiderReceivable);
        prop_assert_eq!(receivable, charged - sum(None, AccountCode::Clearing) - sum(None, AccountCode::BadDebt));
        prop_assert_eq!(sum(Some(PostingKind::Tip), AccountCode::DriverPayable), -sum(Some(PostingKind::Tip), AccountCode::RiderReceivable));
        if purpose == PaymentPurpose::Tip {
            prop_assert_eq!(receivable, 0);
        } else if now.state.is_terminal() && now.needs_review.is_none() {
            prop_assert_eq!(receivable, 0, "{:?}", now);
        }
    }
}

#[test]
fn driver_is_owed_the_share_and_the_platform_keeps_the_rest() {
    let driver: DriverId = Uuid::from_u128(3).into();
    let entries = posting(Some(driver), 1_001, 751).expect("a part").entries;
    let amounts: Vec<_> = entries.iter().map(|entry| (entry.account.code().as_str(), entry.amount)).collect();
    assert_eq!(amounts, [("rider_receivable", 1_001), ("driver_payable", -751), ("platform_revenue", -250)]);
}

#[test]
fn accounts_of_riders_and_drivers_have_owners() {
    let (rider, driver) = (Uuid::from_u128(2), Uuid::from_u128(3));
    assert_eq!(LedgerAccount::RiderReceivable(rider.into()).owner(), Some(rider));
    assert_eq!(LedgerAccount::DriverPayable(driver.into()).owner(), Some(driver));
    for platform in
        [LedgerAccount::PlatformRevenue, LedgerAccount::Clearing, LedgerAccount::Refunds, LedgerAccount::BadDebt]
    {
        assert_eq!(platform.owner(), None, "{platform:?}");
    }
}

#[test]
fn posting_names_its_source() {
    let stamp = PostingStamp { id: Uuid::nil(), at: DomainTime::new(chrono::DateTime::UNIX_EPOCH) };
    let payment = Payment { captured: 1_000, ..payment(PaymentPurpose::Fare) };
    let refunded = Refund {
        id: Uuid::from_u128(5).into(),
        payment_id: payment.id,
        trip_id: payment.trip_id,
        provider_intent_id: None,
        amount: 300,
        state: RefundState::Succeeded,
        provider_refund_id: None,
        failure_code: None,
        needs_review: None,
        failures: 0,
        allow_new_key: false,
        lease_token: 1,
        trace_id: None,
    };
    let summary = |posting: Posting| {
        let entries: Vec<_> =
            posting.entries.iter().map(|entry| (entry.account.code().as_str(), entry.amount)).collect();
        (posting.kind, posting.source_id, entries)
    };
    let expected = (PostingKind::Refund, refunded.id.uuid(), vec![("refunds", 300), ("clearing", -300)]);
    assert_eq!(summary(refund(&refunded, &payment, stamp)), expected);
    let reversed = (PostingKind::RefundReversal, refunded.id.uuid(), vec![("clearing", 300), ("refunds", -300)]);
    assert_eq!(summary(refund_reversal(&refunded, &payment, stamp)), reversed);
    let captured = (PostingKind::Capture, payment.id.uuid(), vec![("clearing", 1_000), ("rider_receivable", -1_000)]);
    assert_eq!(capture(&payment, stamp, stamp).into_iter().map(summary).collect::<Vec<_>>(), [captured]);
    let written_off = (PostingKind::WriteOff, payment.id.uuid(), vec![("bad_debt", 40), ("rider_receivable", -40)]);
    assert_eq!(summary(write_off(&payment, 40, stamp)), written_off);
}

#[test]
fn share_outside_of_the_charge_is_refused() {
    for (total, driver_share) in [(0, 0), (-5, 0), (100, 101), (100, -1)] {
        assert_eq!(posting(None, total, driver_share), Err(BadCharge { total, driver_share }));
    }
}
