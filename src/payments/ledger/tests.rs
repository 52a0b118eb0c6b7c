use proptest::prelude::*;

use super::*;
use crate::payments::machine::resolve::{self, Action, Resolved};
use crate::payments::machine::{self, News, Seen, Status};
use crate::payments::model::{Intent, RefundState, State};

fn posting(driver_id: Option<DriverId>, total: i64, driver_share: i64) -> Result<Posting, BadCharge> {
    let (trip_id, rider_id) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
    let total = Money::new(total, Currency::USD);
    let at = DomainTime::new(chrono::DateTime::UNIX_EPOCH);
    charge(&Charge { trip_id, rider_id, driver_id, total, driver_share }, Stamp { id: Uuid::nil(), at })
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

/// A payment of 1,000 that is to be captured whole.
fn payment(purpose: Purpose) -> Payment {
    Payment {
        id: Uuid::from_u128(4).into(),
        trip_id: Uuid::from_u128(1).into(),
        rider_id: Uuid::from_u128(2).into(),
        driver_id: (purpose == Purpose::Tip).then(|| Uuid::from_u128(3).into()),
        purpose,
        replaces: None,
        state: State::Authorizing,
        intent: Intent::Capture(1_000),
        amount: Money::new(1_000, Currency::USD),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: "pm_card_visa".to_owned(),
        provider_intent_id: Some("pi_1".to_owned()),
        decline_code: None,
        attention: None,
        failures: 0,
        lease_token: 1,
        version: 1,
    }
}

/// What happens to a payment: the provider's news, or an operator's decision.
fn any_event() -> impl Strategy<Value = Result<News, Action>> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let seen = (status, 0..=1_001_i64, 0..=1_001_i64).prop_map(|(status, capturable, received)| {
        let seen = Seen { status, capturable, received, decline_code: None };
        Ok(News::Seen(seen))
    });
    prop_oneof![3 => seen, 1 => prop::sample::select(Action::ALL.to_vec()).prop_map(Err)]
}

proptest! {
    /// Over every life of a fare or a tip, its replacements included: the rider owes what was charged and neither captured nor
    /// given up, and when nobody waits any more, the rider owes nothing.
    #[test]
    fn receivable_is_charged_less_captured_less_given_up(
        purpose in prop::sample::select(vec![Purpose::Fare, Purpose::Tip]),
        life in prop::collection::vec(any_event(), 0..24),
    ) {
        let stamp = Stamp { id: Uuid::nil(), at: DomainTime::new(chrono::DateTime::UNIX_EPOCH) };
        let mut now = payment(purpose);
        let mut postings = Vec::new();
        if purpose == Purpose::Fare {
            postings.push(posting(Some(Uuid::from_u128(3).into()), 1_000, 750).expect("a part"));
        }
        let replace = |old: &Payment, amount: i64| Payment {
            replaces: Some(old.id),
            intent: Intent::Capture(amount),
            amount: old.money(amount),
            ..payment(purpose)
        };
        for event in life {
            let before = now.clone();
            match event {
                Ok(news) => {
                    now = machine::learn(&before, &news);
                    if now.state == State::Captured && before.state != State::Captured {
                        postings.extend(capture(&now, stamp, stamp));
                    }
                    if before.state != now.state && let Some(Intent::Capture(amount)) = machine::replacement(&now) {
                        now = replace(&now, amount);
                    }
                }
                Err(action) => match resolve::payment(&before, action) {
                    Ok(Resolved::Again(after)) => now = after,
                    Ok(Resolved::Asked(after, amount)) => now = replace(&after, amount),
                    Ok(Resolved::Closed(after, amount)) => {
                        postings.extend((amount > 0).then(|| write_off(&after, amount, stamp)));
                        now = after;
                    }
                    Err(_) => {}
                },
            }
        }
        let sum = |kind: Option<Kind>, code: &str| -> i64 {
            let wanted = postings.iter().filter(|posting| kind.is_none_or(|kind| posting.kind == kind));
            wanted.flat_map(|posting| &posting.entries).filter(|entry| entry.account.code() == code).map(|entry| entry.amount).sum()
        };
        prop_assert!(postings.iter().all(|posting| posting.entries.iter().map(|entry| entry.amount).sum::<i64>() == 0));
        let charged = sum(Some(Kind::Charge), "rider_receivable") + sum(Some(Kind::Tip), "rider_receivable");
        let receivable = sum(None, "rider_receivable");
        prop_assert_eq!(receivable, charged - sum(None, "clearing") - sum(None, "bad_debt"));
        prop_assert_eq!(sum(Some(Kind::Tip), "driver_payable"), -sum(Some(Kind::Tip), "rider_receivable"));
        if purpose == Purpose::Tip {
            prop_assert_eq!(receivable, 0);
        } else if now.state.is_terminal() && now.attention.is_none() {
            prop_assert_eq!(receivable, 0, "{:?}", now);
        }
    }
}

#[test]
fn the_driver_is_owed_the_share_and_we_keep_the_rest() {
    let driver: DriverId = Uuid::from_u128(3).into();
    let entries = posting(Some(driver), 1_001, 751).expect("a part").entries;
    let amounts: Vec<_> = entries.iter().map(|entry| (entry.account.code(), entry.amount)).collect();
    assert_eq!(amounts, [("rider_receivable", 1_001), ("driver_payable", -751), ("platform_revenue", -250)]);
}

#[test]
fn an_account_has_its_owner_and_a_kind_its_name() {
    let (rider, driver) = (Uuid::from_u128(2), Uuid::from_u128(3));
    assert_eq!(Account::RiderReceivable(rider.into()).owner(), Some(rider));
    assert_eq!(Account::DriverPayable(driver.into()).owner(), Some(driver));
    for house in [Account::PlatformRevenue, Account::Clearing, Account::Refunds, Account::BadDebt] {
        assert_eq!(house.owner(), None, "{house:?}");
    }
    let kinds = [Kind::Charge, Kind::Tip, Kind::Capture, Kind::Refund, Kind::WriteOff];
    assert_eq!(kinds.map(Kind::as_str), ["charge", "tip", "capture", "refund", "write_off"]);
}

#[test]
fn a_posting_names_what_it_is_posted_for_once() {
    let stamp = Stamp { id: Uuid::nil(), at: DomainTime::new(chrono::DateTime::UNIX_EPOCH) };
    let payment = Payment { captured: 1_000, ..payment(Purpose::Fare) };
    let given_back = Refund {
        id: Uuid::from_u128(5).into(),
        payment_id: payment.id,
        amount: 300,
        state: RefundState::Succeeded,
        provider_refund_id: None,
        failure_code: None,
        attention: None,
        failures: 0,
        another_key: false,
        lease_token: 1,
    };
    let told = |posting: Posting| {
        let entries: Vec<_> = posting.entries.iter().map(|entry| (entry.account.code(), entry.amount)).collect();
        (posting.kind, posting.source_id, entries)
    };
    let refunded = (Kind::Refund, given_back.id.uuid(), vec![("refunds", 300), ("clearing", -300)]);
    assert_eq!(told(refund(&given_back, &payment, stamp)), refunded);
    let captured = (Kind::Capture, payment.id.uuid(), vec![("clearing", 1_000), ("rider_receivable", -1_000)]);
    assert_eq!(capture(&payment, stamp, stamp).into_iter().map(told).collect::<Vec<_>>(), [captured]);
    let given_up = (Kind::WriteOff, payment.id.uuid(), vec![("bad_debt", 40), ("rider_receivable", -40)]);
    assert_eq!(told(write_off(&payment, 40, stamp)), given_up);
}

#[test]
fn a_share_that_is_not_a_part_is_refused() {
    for (total, driver_share) in [(0, 0), (-5, 0), (100, 101), (100, -1)] {
        assert_eq!(posting(None, total, driver_share), Err(BadCharge { total, driver_share }));
    }
}
