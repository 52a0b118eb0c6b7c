use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::MachineTime;
use crate::platform::ids::{PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::{Currency, Money};

fn at(seconds: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_000_000 + seconds, 0).expect("in range"))
}

/// A trip in `state` at second 1,000: assigned at 900, arrived at 950, searched for until 1,600.
fn trip(state: State) -> Trip {
    let position = Position::new(40.7, -74.0).expect("in range");
    let driver_id = state.has_driver().then(|| DriverId::from(Uuid::from_u128(3)));
    Trip {
        id: TripId::from(Uuid::from_u128(1)),
        rider_id: RiderId::from(Uuid::from_u128(2)),
        driver_id,
        quote_id: QuoteId::from(Uuid::from_u128(4)),
        payment_id: PaymentId::from(Uuid::from_u128(5)),
        state,
        version: 5,
        class: VehicleClass::Standard,
        pickup: position,
        dropoff: position,
        price: Money::new(1_500, Currency::USD),
        waiting_charge: 0,
        total: state.is_over().then_some(0),
        pin: "0420".to_owned(),
        pin_failures: 0,
        offers_made: 1,
        drivers_lost: 0,
        cancelled_by: None,
        requested_at: at(0),
        authorised_at: None,
        search_deadline_at: Some(at(1_600)),
        search_at: (state == State::Searching).then(|| at(1_000)),
        assigned_at: state.has_driver().then(|| at(900)),
        arrived_at: matches!(state, State::Arrived | State::InProgress).then(|| at(950)),
        started_at: (state == State::InProgress).then(|| at(960)),
        ended_at: state.is_over().then(|| at(990)),
        due_at: None,
    }
}

/// One of each command, with guards that are satisfied.
fn commands() -> Vec<Command> {
    let authorised_at = MachineTime::new(DateTime::from_timestamp(1, 0).expect("in range"));
    vec![
        Command::Authorised { at: authorised_at },
        Command::PaymentDeclined,
        Command::PaymentTimeout,
        Command::Offer { expires_at: at(2_015) },
        Command::Accept { driver: DriverId::from(Uuid::from_u128(9)) },
        Command::Decline,
        Command::Expire,
        Command::Withdraw,
        Command::GiveUp,
        Command::Arrive { distance_m: Some(20.0) },
        Command::Start { pin: "0420".to_owned() },
        Command::Complete,
        Command::DriverCancel,
        Command::DriverSilent,
        Command::RiderCancel { driver_silent: false },
        Command::NoShow,
        Command::Abort { charge: None },
    ]
}

fn outcome(trip: &Trip, command: &Command, now: DomainTime) -> String {
    match trip.step(command, now) {
        Ok(step) => format!("{} {:?}", step.trip.state.as_str(), step.money),
        Err(refusal) => format!("- {}", refusal.code.meaning().name),
    }
}

/// The whole grid at second 2,000, when every deadline has passed: a new state cannot hide in a `_ =>`.
#[test]
fn the_whole_grid() {
    let mut grid = String::new();
    for state in State::ALL {
        writeln!(grid, "{}", state.as_str()).expect("a string");
        for command in commands() {
            writeln!(grid, "    {:<16} {}", command.kind().as_str(), outcome(&trip(*state), &command, at(2_000)))
                .expect("a string");
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn what_a_refusal_allows_is_what_the_machine_allows() {
    for state in State::ALL {
        let taken: BTreeSet<_> = commands()
            .iter()
            .filter(|command| trip(*state).step(command, at(2_000)).is_ok())
            .map(|command| command.kind().as_str())
            .collect();
        let said: BTreeSet<_> = allowed_from(*state).iter().map(|command| command.as_str()).collect();
        assert_eq!(taken, said, "{}", state.as_str());
    }
}

/// The steps that the migration seeds `trip_edges` with are the machine's, no more and no less.
#[test]
fn the_database_knows_the_same_steps() {
    let migration = include_str!("../../migrations/0005_trips.sql");
    let rows =
        migration.split("insert into trip_edges").nth(1).and_then(|rest| rest.split(';').next()).expect("the seed");
    let seeded: BTreeSet<Vec<&str>> = rows
        .lines()
        .filter(|line| line.trim_start().starts_with("('"))
        .map(|line| line.split('\'').skip(1).step_by(2).collect())
        .collect();
    let mut taken = BTreeSet::from([vec!["none", "request", "requested"]]);
    for state in State::ALL {
        for (command, drivers_lost) in
            commands().iter().flat_map(|command| [(command, 0), (command, DRIVERS_LOST_MAX - 1)])
        {
            let from = Trip { drivers_lost, ..trip(*state) };
            if let Ok(step) = from.step(command, at(2_000)) {
                taken.insert(vec![state.as_str(), command.kind().as_str(), step.trip.state.as_str()]);
            }
        }
    }
    assert_eq!(taken, seeded);
}

#[test]
fn cancelling_is_free_before_assignment_for_two_minutes_after_it_and_when_the_driver_is_silent() {
    let cancel =
        |state, silent, second| outcome(&trip(state), &Command::RiderCancel { driver_silent: silent }, at(second));
    assert_eq!(cancel(State::Searching, false, 5_000), "cancelled Release");
    assert_eq!(cancel(State::Offered, false, 5_000), "cancelled Release");
    assert_eq!(cancel(State::Assigned, false, 1_020), "cancelled Release");
    assert_eq!(cancel(State::Assigned, false, 1_021), "cancelled Charge(500)");
    assert_eq!(cancel(State::Arrived, false, 1_021), "cancelled Charge(500)");
    assert_eq!(cancel(State::Arrived, true, 1_021), "cancelled Release");
}

#[test]
fn a_fee_never_exceeds_the_price() {
    let cheap = Trip { price: Money::new(300, Currency::USD), ..trip(State::Arrived) };
    assert_eq!(outcome(&cheap, &Command::NoShow, at(2_000)), "no_show Charge(300)");
}

#[test]
fn the_search_ends_at_its_deadline_or_with_the_twentieth_offer() {
    let searching = trip(State::Searching);
    assert_eq!(outcome(&searching, &Command::GiveUp, at(1_599)), "- invalid_transition");
    assert_eq!(outcome(&searching, &Command::GiveUp, at(1_600)), "no_driver Release");
    let asked_all = Trip { offers_made: OFFERS_MAX, ..trip(State::Offered) };
    let declined = asked_all.step(&Command::Decline, at(1_000)).expect("legal").trip;
    assert_eq!(declined.due(at(1_000)), Some(Command::GiveUp));
    assert_eq!(outcome(&declined, &Command::GiveUp, at(1_000)), "no_driver Release");
}

#[test]
fn a_lost_driver_starts_the_search_anew_and_the_fourth_ends_it() {
    let lost = trip(State::Arrived).step(&Command::DriverCancel, at(1_200)).expect("legal").trip;
    assert_eq!((lost.state, lost.driver_id, lost.assigned_at, lost.arrived_at), (State::Searching, None, None, None));
    assert_eq!(lost.search_deadline_at, Some(at(1_800)));
    let fourth = Trip { drivers_lost: 3, ..trip(State::Assigned) };
    assert_eq!(outcome(&fourth, &Command::DriverSilent, at(1_200)), "no_driver Release");
}

#[test]
fn arriving_needs_a_position_within_150_metres() {
    let arrive = |distance_m| outcome(&trip(State::Assigned), &Command::Arrive { distance_m }, at(1_000));
    assert_eq!(arrive(Some(150.0)), "arrived None");
    assert_eq!(arrive(Some(150.1)), "- too_far_from_pickup");
    assert_eq!(arrive(None), "- too_far_from_pickup");
}

#[test]
fn the_fifth_wrong_pin_locks_and_the_count_is_kept() {
    let start = |failures, pin: &str| {
        let trip = Trip { pin_failures: failures, ..trip(State::Arrived) };
        trip.step(&Command::Start { pin: pin.to_owned() }, at(1_000))
    };
    let wrong = start(0, "9999").expect_err("wrong");
    assert!(wrong.commits && wrong.code == Code::WrongPin);
    assert!(start(4, "0420").is_ok());
    assert_eq!(start(5, "0420").expect_err("locked").code, Code::PinLocked);
}

#[test]
fn a_no_show_is_one_after_five_minutes() {
    assert_eq!(outcome(&trip(State::Arrived), &Command::NoShow, at(1_249)), "- too_early");
    assert_eq!(outcome(&trip(State::Arrived), &Command::NoShow, at(1_250)), "no_show Charge(500)");
}

#[test]
fn waiting_beyond_two_minutes_is_charged_with_the_fare() {
    let started = trip(State::Arrived).step(&Command::Start { pin: "0420".into() }, at(950 + 181)).expect("legal").trip;
    assert_eq!(started.waiting_charge, 70);
    assert_eq!(outcome(&started, &Command::Complete, at(3_000)), "completed Charge(1570)");
}

#[test]
fn time_does_its_work_at_the_deadline_and_not_a_second_before() {
    for state in State::ALL {
        let trip = Trip { due_at: Some(at(1_000)), ..trip(*state) };
        let work = match state {
            State::Requested => Some(Command::PaymentTimeout),
            State::Searching => Some(Command::GiveUp),
            State::Offered => Some(Command::Expire),
            _ => None,
        };
        assert_eq!(
            (trip.due(at(999)), trip.due(at(1_000)), trip.due(at(1_001))),
            (None, work.clone(), work),
            "{state:?}"
        );
        assert_eq!(Trip { due_at: None, ..trip }.due(at(5_000)), None);
    }
}

#[test]
fn every_step_of_a_ride_leaves_its_mark() {
    let step = |trip: &Trip, command: Command, second| trip.step(&command, at(second)).expect("legal").trip;
    let authorised_at = MachineTime::new(DateTime::from_timestamp(1, 0).expect("in range"));
    let searching = step(&trip(State::Requested), Command::Authorised { at: authorised_at }, 10);
    assert_eq!((searching.version, searching.authorised_at), (6, Some(authorised_at)));
    assert_eq!((searching.search_at, searching.search_deadline_at), (Some(at(10)), Some(at(610))));
    assert_eq!(searching.due_at, Some(at(610)));

    let offered = step(&searching, Command::Offer { expires_at: at(25) }, 10);
    assert_eq!((offered.offers_made, offered.due_at), (2, Some(at(25))));
    let again = step(&offered, Command::Expire, 25);
    assert_eq!((again.search_at, again.due_at), (Some(at(25)), Some(at(610))), "the deadline stays");

    let driver = DriverId::from(Uuid::from_u128(9));
    let assigned = step(&step(&again, Command::Offer { expires_at: at(40) }, 30), Command::Accept { driver }, 31);
    assert_eq!((assigned.driver_id, assigned.assigned_at, assigned.due_at), (Some(driver), Some(at(31)), None));
    let arrived = step(&assigned, Command::Arrive { distance_m: Some(0.0) }, 60);
    let started = step(&arrived, Command::Start { pin: "0420".to_owned() }, 70);
    assert_eq!((arrived.arrived_at, started.started_at), (Some(at(60)), Some(at(70))));
    let completed = step(&started, Command::Complete, 900);
    assert_eq!((completed.ended_at, completed.total, completed.cancelled_by), (Some(at(900)), Some(1_500), None));
    assert_eq!((completed.version, completed.driver_id), (13, Some(driver)));
}

#[test]
fn who_ended_a_trip_is_remembered_with_a_fee_and_without() {
    let end = |state, command: Command| {
        let over = trip(state).step(&command, at(2_000)).expect("legal").trip;
        (over.cancelled_by, over.total)
    };
    let cancel = Command::RiderCancel { driver_silent: false };
    assert_eq!(end(State::Searching, cancel.clone()), (Some("rider".to_owned()), Some(0)));
    assert_eq!(end(State::Arrived, cancel), (Some("rider".to_owned()), Some(500)));
    assert_eq!(end(State::InProgress, Command::Abort { charge: None }), (Some("ops".to_owned()), Some(0)));
    assert_eq!(end(State::InProgress, Command::Abort { charge: Some(7) }), (Some("ops".to_owned()), Some(7)));
    assert_eq!(end(State::Searching, Command::GiveUp), (None, Some(0)), "nobody cancelled it");
    assert_eq!(end(State::Requested, Command::PaymentDeclined), (None, Some(0)));
}

#[test]
fn a_refusal_says_what_would_have_helped() {
    let refused = |state, command: Command, second| trip(state).step(&command, at(second)).expect_err("refused");
    let over = refused(State::Completed, Command::Complete, 2_000);
    assert_eq!(
        over.detail,
        "The trip is completed: complete does not go from there; it is over, and nothing does any more."
    );
    let early = refused(State::Requested, Command::Complete, 2_000);
    assert!(early.detail.ends_with("what does is authorised, payment_declined, payment_timeout, rider_cancel."));
    assert_eq!(early.more["state"], "requested");

    assert_eq!(refused(State::Arrived, Command::NoShow, 1_240).more["seconds_left"], 11);
    assert_eq!(refused(State::Assigned, Command::Arrive { distance_m: Some(150.6) }, 1_000).more["distance_m"], 151);
    let wrong_pin = |failures| {
        let trip = Trip { pin_failures: failures, ..trip(State::Arrived) };
        trip.step(&Command::Start { pin: "9999".to_owned() }, at(1_000)).expect_err("wrong").more["tries_left"].clone()
    };
    assert_eq!((wrong_pin(0), wrong_pin(1), wrong_pin(4)), (4.into(), 3.into(), 0.into()));
}

proptest! {
    /// Whatever is thrown at a trip, it ends at most once and a trip that is over never moves again.
    #[test]
    fn nothing_leaves_a_trip_that_is_over(choices in prop::collection::vec((0..17_usize, 0..400_i64), 1..60)) {
        let commands = commands();
        let (mut trip, mut second, mut charges) = (trip(State::Requested), 0, 0);
        for (choice, wait_s) in choices {
            second += wait_s;
            let was_over = trip.state.is_over();
            if let Ok(step) = trip.step(&commands[choice], at(second)) {
                prop_assert!(!was_over);
                prop_assert_eq!(step.trip.version, trip.version + 1);
                prop_assert_eq!(step.trip.ended_at.is_some(), step.trip.state.is_over());
                prop_assert_eq!(step.trip.driver_id.is_some() || !step.trip.state.has_driver(), true);
                charges += i32::from(step.money != MoneyEffect::None);
                trip = step.trip;
            }
        }
        prop_assert_eq!(charges, i32::from(trip.state.is_over()));
    }
}
