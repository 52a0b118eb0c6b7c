use chrono::DateTime;
use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(1_000_000, 0).expect("in range")) + TimeDelta::milliseconds(ms)
}

fn spent() -> RetryBudget {
    let mut budget = RetryBudget::new(at(0));
    for _ in 0..20 {
        assert_eq!(budget.plan(at(0)), TimeDelta::zero());
    }
    budget
}

#[test]
fn saved_retries_are_immediate_and_others_wait_for_their_turn() {
    let mut budget = spent();
    let turns: Vec<_> = (0..5).map(|_| budget.plan(at(0)).num_milliseconds()).collect();
    assert_eq!(turns, [100, 200, 300, 400, 500]);
    assert_eq!(budget.level(), -5);
}

#[test]
fn a_tenth_of_first_tries_and_ten_a_second_may_be_retried() {
    let mut budget = spent();
    budget.count_first_tries(10, at(0));
    assert_eq!(budget.plan(at(0)), TimeDelta::zero());
    assert_eq!(budget.plan(at(0)), TimeDelta::milliseconds(100));
    assert_eq!(budget.plan(at(1_000)), TimeDelta::zero());
    assert_eq!(budget.level(), 8);
}

#[test]
fn savings_and_borrowing_are_bounded() {
    let mut budget = spent();
    budget.count_first_tries(usize::MAX, at(0));
    assert_eq!(budget.level(), 20);
    budget.plan(at(i64::from(i32::MAX)));
    assert_eq!(budget.level(), 19);
    let longest = (0..100_000).map(|_| budget.plan(at(i64::from(i32::MAX)))).max();
    assert_eq!(longest, Some(TimeDelta::minutes(10)));
}

#[test]
fn retry_after_blocks_retries() {
    let mut budget = RetryBudget::new(at(0));
    budget.block(Duration::from_secs(7), at(0));
    budget.block(Duration::from_secs(3), at(0));
    assert_eq!(budget.plan(at(1_000)), TimeDelta::seconds(6));
    assert_eq!(budget.plan(at(7_000)), TimeDelta::zero());
    budget.block(Duration::from_secs(3_600), at(7_000));
    assert_eq!(budget.plan(at(7_000)), TimeDelta::seconds(60));
}

#[test]
fn clock_that_steps_back_adds_nothing_twice() {
    let mut budget = spent();
    for step in 0..100 {
        budget.count_first_tries(0, at(if step % 2 == 0 { 0 } else { 100 }));
    }
    // Fifty times a tenth of a second has passed.
    assert!(budget.level() <= 20);
    budget.count_first_tries(0, at(-3_600_000));
    budget.plan(at(-3_599_900));
    assert!(budget.level() <= 20);
}

proptest! {
    /// For any history: no more retries get their turn than were saved, a tenth of the first tries, and ten a second.
    #[test]
    fn retries_are_a_share_of_first_tries(steps in prop::collection::vec((0_i64..300, 0_usize..20, 0_usize..30), 1..60)) {
        let (mut budget, mut now_ms, mut first_tries, mut turns) = (RetryBudget::new(at(0)), 0, 0, Vec::new());
        for (step_ms, first, retries) in steps {
            now_ms += step_ms;
            budget.count_first_tries(first, at(now_ms));
            first_tries += first;
            turns.extend((0..retries).map(|_| now_ms + budget.plan(at(now_ms)).num_milliseconds()));
        }
        let by_now = turns.iter().filter(|turn| **turn <= now_ms).count();
        let allowed = 20 + first_tries.div_ceil(10) + usize::try_from(now_ms / 100).expect("not before 0") + 1;
        prop_assert!(by_now <= allowed, "{by_now} of {} had their turn, {allowed} allowed", turns.len());
    }
}
