use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;

const ILL: Health = Health::Ill { rest: Duration::ZERO };
const CALL_MAX: TimeDelta = TimeDelta::seconds(10);

/// So many milliseconds after some moment.
fn at(ms: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(1_000_000, 0).expect("in range")) + TimeDelta::milliseconds(ms)
}

/// No chance: every rest is a whole one.
fn whole(rest: Duration) -> Duration {
    rest
}

/// A breaker that was told of these calls, one after the other, at time 0.
fn told(health: impl IntoIterator<Item = Health>) -> Breaker {
    let mut breaker = Breaker::default();
    for health in health {
        let pass = breaker.admit(at(0), CALL_MAX).expect("closed");
        breaker.record(pass, health, at(0), whole);
    }
    breaker
}

fn opened() -> Breaker {
    told([ILL; 5])
}

fn half_open() -> (Breaker, Pass) {
    let mut breaker = opened();
    let pass = breaker.admit(at(500), CALL_MAX).expect("it has rested");
    (breaker, pass)
}

/// Every state that behaves in its own way, with the pass of a call under way in it, and the time.
fn states() -> Vec<(&'static str, Breaker, MachineTime)> {
    let nearly_half = [ILL, ILL, ILL, Health::Well].into_iter().cycle().take(12);
    vec![
        ("closed", Breaker::default(), at(0)),
        ("closed, 4 ill in a row", told([ILL; 4]), at(0)),
        ("closed, 9 ill of 12", told(nearly_half), at(0)),
        ("open, resting", opened(), at(499)),
        ("open, rested", opened(), at(500)),
        ("open, clock stepped back", opened(), at(-1)),
        ("half open, probe under way", half_open().0, at(10_499)),
        ("half open, probe lost", half_open().0, at(10_500)),
    ]
}

#[test]
fn the_whole_grid() {
    let mut grid = String::new();
    for (name, breaker, now) in states() {
        let mut line = |event: &str, after: &Breaker| {
            let outlook = match after.outlook(now) {
                Outlook::Flow => "flow".to_owned(),
                Outlook::Probe => "probe".to_owned(),
                Outlook::Wait(rest) => format!("wait {} ms", rest.num_milliseconds()),
            };
            let state = after.state().as_str();
            writeln!(grid, "{name:28} {event:22} → {state:9} {outlook}").expect("a string");
        };
        line("(nothing)", &breaker);
        let mut asked = breaker.clone();
        let pass = asked.admit(now, CALL_MAX);
        line(if pass.is_some() { "a call is let through" } else { "a call is held back" }, &asked);
        // What a call came to that was let through in this very state, and one that was let through before it.
        let current = Pass { phase: breaker.phases };
        let earlier = Pass { phase: breaker.phases.wrapping_sub(1) };
        let rested = Health::Ill { rest: Duration::from_secs(30) };
        for (event, pass, health) in [
            ("well", current, Health::Well),
            ("ill", current, ILL),
            ("ill, rest for 30 s", current, rested),
            ("well, from before", earlier, Health::Well),
            ("ill, from before", earlier, ILL),
        ] {
            let mut after = breaker.clone();
            after.record(pass, health, now, whole);
            line(event, &after);
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn five_in_a_row_or_ten_of_twenty_open_it() {
    assert_eq!(told([ILL; 4]).state(), State::Closed);
    assert_eq!(told([ILL; 5]).state(), State::Open);
    let alternating = |count| told([ILL, Health::Well].into_iter().cycle().take(count)).state();
    assert_eq!((alternating(18), alternating(19)), (State::Closed, State::Open));
    // Two of five, for ever, is bad and not an outage.
    let some = [ILL, Health::Well, ILL, Health::Well, Health::Well].into_iter().cycle().take(1_000);
    assert_eq!(told(some).state(), State::Closed);
}

#[test]
fn rests_double_to_five_seconds_and_begin_anew_after_it_was_closed() {
    let mut breaker = opened();
    let (mut now, mut rests) = (at(0), Vec::new());
    for _ in 0..6 {
        let Outlook::Wait(rest) = breaker.outlook(now) else { panic!("{breaker:?}") };
        rests.push(rest.num_milliseconds());
        now = now + rest;
        let probe = breaker.admit(now, CALL_MAX).expect("rested");
        breaker.record(probe, ILL, now, whole);
    }
    assert_eq!(rests, [500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    let Outlook::Wait(rest) = breaker.outlook(now) else { panic!("{breaker:?}") };
    let probe = breaker.admit(now + rest, CALL_MAX).expect("rested");
    breaker.record(probe, Health::Well, now + rest, whole);
    assert_eq!(breaker.openings, 0);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn nobody_is_made_to_wait_longer_than_a_minute() {
    let hour = Health::Ill { rest: Duration::from_secs(3_600) };
    assert_eq!(told([hour; 5]).outlook(at(0)), Outlook::Wait(TimeDelta::seconds(60)));
}

#[test]
fn one_probe_at_a_time() {
    let (mut breaker, probe) = half_open();
    assert_eq!(breaker.admit(at(500), CALL_MAX), None);
    assert_eq!(breaker.admit(at(10_499), CALL_MAX), None);
    // It never came back: another one goes, and the first counts no more.
    let second = breaker.admit(at(10_500), CALL_MAX).expect("the first is lost");
    breaker.record(probe, ILL, at(10_500), whole);
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker.record(second, Health::Well, at(10_501), whole);
    assert_eq!(breaker.state(), State::Closed);
}

proptest! {
    /// Whatever happens, in whatever order and at whatever times: it never waits longer than a minute, lets nothing through
    /// while it waits, and at most one call while it is half open.
    #[test]
    fn whatever_happens(events in prop::collection::vec((-5_000_i64..20_000, 0_usize..4, any::<bool>(), 0_u64..200), 1..200)) {
        let (mut breaker, mut now, mut passes) = (Breaker::default(), at(0), Vec::new());
        for (step_ms, pass, is_ill, rest_s) in events {
            now = now + TimeDelta::milliseconds(step_ms);
            let outlook = breaker.outlook(now);
            if let Outlook::Wait(rest) = outlook {
                prop_assert!(rest > TimeDelta::zero() && rest <= TimeDelta::seconds(60));
            }
            let admitted = breaker.admit(now, CALL_MAX);
            prop_assert_eq!(admitted.is_some(), !matches!(outlook, Outlook::Wait(_)));
            if breaker.state() == State::HalfOpen && admitted.is_some() {
                prop_assert!(breaker.admit(now, CALL_MAX).is_none());
            }
            passes.extend(admitted);
            if pass < passes.len() {
                let pass = passes.swap_remove(pass);
                let health = if is_ill { Health::Ill { rest: Duration::from_secs(rest_s) } } else { Health::Well };
                breaker.record(pass, health, now, whole);
            }
        }
    }
}
