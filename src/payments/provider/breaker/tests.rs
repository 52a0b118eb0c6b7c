use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;

const FAILING: CallHealth = CallHealth::Failing { retry_after: Duration::ZERO };
const CALL_MAX: TimeDelta = TimeDelta::seconds(10);

/// Returns the time `ms` milliseconds after a fixed one.
fn at(ms: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(1_000_000, 0).expect("in range")) + TimeDelta::milliseconds(ms)
}

/// Returns the duration without jitter.
fn no_jitter(duration: Duration) -> Duration {
    duration
}

/// Returns a breaker after these calls, all at time 0.
fn after_calls(health: impl IntoIterator<Item = CallHealth>) -> Breaker {
    let mut breaker = Breaker::default();
    for health in health {
        let call = breaker.admit(at(0), CALL_MAX).expect("closed");
        breaker.record(call, health, at(0), no_jitter);
    }
    breaker
}

fn opened() -> Breaker {
    after_calls([FAILING; 5])
}

fn half_open() -> (Breaker, AdmittedCall) {
    let mut breaker = opened();
    let call = breaker.admit(at(500), CALL_MAX).expect("the open duration is over");
    (breaker, call)
}

/// Returns every state with a behavior of its own, with the time.
fn states() -> Vec<(&'static str, Breaker, MachineTime)> {
    let nearly_half = [FAILING, FAILING, FAILING, CallHealth::Ok].into_iter().cycle().take(12);
    vec![
        ("closed", Breaker::default(), at(0)),
        ("closed, 4 failing in a row", after_calls([FAILING; 4]), at(0)),
        ("closed, 9 failing of 12", after_calls(nearly_half), at(0)),
        ("open", opened(), at(499)),
        ("open, duration over", opened(), at(500)),
        ("open, clock stepped back", opened(), at(-1)),
        ("half open, probing", half_open().0, at(10_499)),
        ("half open, probe lost", half_open().0, at(10_500)),
    ]
}

#[test]
fn grid_of_events_by_state() {
    let mut grid = String::new();
    for (name, breaker, now) in states() {
        let mut line = |event: &str, after: &Breaker| {
            let availability = match after.availability(now) {
                ProviderAvailability::Available => "available".to_owned(),
                ProviderAvailability::Probe => "probe".to_owned(),
                ProviderAvailability::Unavailable(duration) => {
                    format!("unavailable for {} ms", duration.num_milliseconds())
                }
            };
            let state = after.state().as_str();
            writeln!(grid, "{name:28} {event:24} → {state:9} {availability}").expect("a string");
        };
        line("(nothing)", &breaker);
        let mut asked = breaker.clone();
        let call = asked.admit(now, CALL_MAX);
        line(if call.is_some() { "a call is admitted" } else { "a call is rejected" }, &asked);
        // The result of a call that was admitted in this state, and of one that was admitted before.
        let current = AdmittedCall { phase: breaker.phases };
        let earlier = AdmittedCall { phase: breaker.phases.wrapping_sub(1) };
        let retry_after = CallHealth::Failing { retry_after: Duration::from_secs(30) };
        for (event, call, health) in [
            ("ok", current, CallHealth::Ok),
            ("failing", current, FAILING),
            ("failing, Retry-After: 30", current, retry_after),
            ("ok, from before", earlier, CallHealth::Ok),
            ("failing, from before", earlier, FAILING),
        ] {
            let mut after = breaker.clone();
            after.record(call, health, now, no_jitter);
            line(event, &after);
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn breaker_opens_after_five_failures_in_a_row_or_ten_of_twenty() {
    assert_eq!(after_calls([FAILING; 4]).state(), BreakerState::Closed);
    assert_eq!(after_calls([FAILING; 5]).state(), BreakerState::Open);
    let alternating = |count| after_calls([FAILING, CallHealth::Ok].into_iter().cycle().take(count)).state();
    assert_eq!((alternating(18), alternating(19)), (BreakerState::Closed, BreakerState::Open));
    // Two of five for a long time is no outage.
    let some = [FAILING, CallHealth::Ok, FAILING, CallHealth::Ok, CallHealth::Ok].into_iter().cycle().take(1_000);
    assert_eq!(after_calls(some).state(), BreakerState::Closed);
}

#[test]
fn open_duration_doubles_to_five_seconds_and_restarts_after_closing() {
    let mut breaker = opened();
    let (mut now, mut durations) = (at(0), Vec::new());
    for _ in 0..6 {
        let ProviderAvailability::Unavailable(duration) = breaker.availability(now) else { panic!("{breaker:?}") };
        durations.push(duration.num_milliseconds());
        now = now + duration;
        let probe = breaker.admit(now, CALL_MAX).expect("the open duration is over");
        breaker.record(probe, FAILING, now, no_jitter);
    }
    assert_eq!(durations, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    let ProviderAvailability::Unavailable(duration) = breaker.availability(now) else { panic!("{breaker:?}") };
    let probe = breaker.admit(now + duration, CALL_MAX).expect("the open duration is over");
    breaker.record(probe, CallHealth::Ok, now + duration, no_jitter);
    assert_eq!(breaker.openings, 0);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn retry_after_is_honored_for_a_minute_at_most() {
    let hour = CallHealth::Failing { retry_after: Duration::from_secs(3_600) };
    assert_eq!(after_calls([hour; 5]).availability(at(0)), ProviderAvailability::Unavailable(TimeDelta::seconds(60)));
}

#[test]
fn half_open_breaker_admits_one_probe_at_a_time() {
    let (mut breaker, probe) = half_open();
    assert_eq!(breaker.admit(at(500), CALL_MAX), None);
    assert_eq!(breaker.admit(at(10_499), CALL_MAX), None);
    // The first probe is lost: a second one is admitted, and the first does not count any more.
    let second = breaker.admit(at(10_500), CALL_MAX).expect("the first is lost");
    breaker.record(probe, FAILING, at(10_500), no_jitter);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record(second, CallHealth::Ok, at(10_501), no_jitter);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

proptest! {
    /// For any history: it is never unavailable for longer than a minute, admits no call while unavailable, and one call while
    /// half open.
    #[test]
    fn any_history_keeps_the_bounds(events in prop::collection::vec((-5_000_i64..20_000, 0_usize..4, any::<bool>(), 0_u64..200), 1..200)) {
        let (mut breaker, mut now, mut calls) = (Breaker::default(), at(0), Vec::new());
        for (step_ms, call, is_failing, retry_after_s) in events {
            now = now + TimeDelta::milliseconds(step_ms);
            let availability = breaker.availability(now);
            if let ProviderAvailability::Unavailable(duration) = availability {
                prop_assert!(duration > TimeDelta::zero() && duration <= TimeDelta::seconds(60));
            }
            let admitted = breaker.admit(now, CALL_MAX);
            prop_assert_eq!(admitted.is_some(), !matches!(availability, ProviderAvailability::Unavailable(_)));
            if breaker.state() == BreakerState::HalfOpen && admitted.is_some() {
                prop_assert!(breaker.admit(now, CALL_MAX).is_none());
            }
            calls.extend(admitted);
            if call < calls.len() {
                let call = calls.swap_remove(call);
                let health = if is_failing { CallHealth::Failing { retry_after: Duration::from_secs(retry_after_s) } } else { CallHealth::Ok };
                breaker.record(call, health, now, no_jitter);
            }
        }
    }
}
