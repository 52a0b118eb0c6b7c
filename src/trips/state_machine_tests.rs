use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::MachineTime;
use crate::platform::error::Error;
use crate::platform::ids::{PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::{Currency, Money};

/// The tariff of the trips here.
const TARIFF: Tariff = Tariff::of(VehicleClass::Standard);

fn at(seconds: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_000_000 + seconds, 0).expect("in range"))
}

/// Returns a trip in `state`: assigned at 900 s, arrived at 950 s, search deadline at 1,600 s.
fn trip(state: State) -> Trip {
    let position = Position::new(40.7, -74.0).expect("in range");
    let driver_id = (state.has_driver() || matches!(state, State::Completed | State::NoShow))
        .then(|| DriverId::from(Uuid::from_u128(3)));
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
        unassignments: 0,
        cancelled_by: None,
        requested_at: at(0),
        authorized_at: None,
        pickup_by: None,
        search_deadline_at: Some(at(1_600)),
        searching_since: (state == State::Searching).then(|| at(1_000)),
        assigned_at: state.has_driver().then(|| at(900)),
        arrived_at: (state == State::Arrived || state.rider_in_car()).then(|| at(950)),
        started_at: state.rider_in_car().then(|| at(960)),
        ended_at: state.is_over().then(|| at(990)),
        due_at: None,
    }
}

/// Returns one command of each kind, with facts that satisfy the guards.
fn commands() -> Vec<Command> {
    let authorized_at = MachineTime::new(DateTime::from_timestamp(1, 0).expect("in range"));
    vec![
        Command::Authorized { at: authorized_at },
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
        Command::DriverUnresponsive,
        Command::RiderCancel { driver_unresponsive: false },
        Command::NoShow,
        Command::Abort { charge: None },
    ]
}

fn refusal(trip: &Trip, command: &Command, now: DomainTime) -> Refusal {
    match trip.apply(command, now) {
        Err(Error::Refused(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn outcome(trip: &Trip, command: &Command, now: DomainTime) -> String {
    match trip.apply(command, now) {
        Ok(transition) => format!("{} {:?}", transition.trip.state, transition.money),
        Err(_) => format!("- {}", refusal(trip, command, now).code.problem_type().name),
    }
}

/// At second 2,000, after every deadline.
#[test]
fn grid_of_states_and_commands() {
    let mut grid = String::new();
    for state in State::ALL {
        writeln!(grid, "{}", state.as_str()).expect("a string");
        for command in commands() {
            writeln!(grid, "    {:<19} {}", command.kind().as_str(), outcome(&trip(state), &command, at(2_000)))
                .expect("a string");
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn allowed_commands_are_those_that_apply_accepts() {
    for state in State::ALL {
        let accepted: BTreeSet<_> = commands()
            .iter()
            .filter(|command| trip(state).apply(command, at(2_000)).is_ok())
            .map(|command| command.kind().as_str())
            .collect();
        let allowed: BTreeSet<_> = allowed_commands(state).iter().map(|command| command.as_str()).collect();
        assert_eq!(accepted, allowed, "{state}");
    }
}

/// Returns the rows that the migrations insert into `table`, each as its cells without quotes.
fn seeded(table: &str) -> BTreeSet<Vec<String>> {
    let mut rows = BTreeSet::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("a folder") {
        let sql = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        for insert in sql.split(&format!("insert into {table} ")).skip(1) {
            let values = insert.split(';').next().expect("a statement");
            rows.extend(values.lines().filter(|line| line.trim_start().starts_with("('")).map(|line| {
                let cells = line.split(['(', ')']).nth(1).expect("a row").split(',');
                cells.map(|cell| cell.trim().trim_matches('\'').to_owned()).collect::<Vec<_>>()
            }));
        }
    }
    rows
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[test]
fn trip_transitions_are_those_of_the_state_machine() {
    let mut taken = BTreeSet::from([row(&["none", "request", "requested"])]);
    for state in State::ALL {
        for (command, unassignments) in
            commands().iter().flat_map(|command| [(command, 0), (command, UNASSIGNMENTS_MAX - 1)])
        {
            let from = Trip { unassignments, ..trip(state) };
            if let Ok(transition) = from.apply(command, at(2_000)) {
                taken.insert(row(&[state.as_str(), command.kind().as_str(), transition.trip.state.as_str()]));
            }
        }
    }
    assert_eq!(taken, seeded("trip_transitions"));
}

#[test]
fn trip_states_are_those_of_the_state_machine() {
    let states =
        State::ALL.map(|state| row(&[state.as_str(), &state.is_over().to_string(), &state.has_driver().to_string()]));
    assert_eq!(BTreeSet::from(states), seeded("trip_states"));
}

#[test]
fn cancelling_is_free_until_120_s_after_assignment_and_with_an_unresponsive_driver() {
    let cancel = |state, driver_unresponsive, second| {
        outcome(&trip(state), &Command::RiderCancel { driver_unresponsive }, at(second))
    };
    let fee = format!("cancelled Charge({})", TARIFF.cancellation_fee);
    assert_eq!(cancel(State::Searching, false, 5_000), "cancelled Release");
    assert_eq!(cancel(State::Offered, false, 5_000), "cancelled Release");
    assert_eq!(cancel(State::Assigned, false, 1_020), "cancelled Release");
    assert_eq!(cancel(State::Assigned, false, 1_021), fee);
    assert_eq!(cancel(State::Arrived, false, 1_021), fee);
    assert_eq!(cancel(State::Arrived, true, 1_021), "cancelled Release");
}

#[test]
fn fee_is_at_most_the_price() {
    let cheap = Trip { price: Money::new(300, Currency::USD), ..trip(State::Arrived) };
    assert_eq!(outcome(&cheap, &Command::NoShow, at(2_000)), "no_show Charge(300)");
}

#[test]
fn search_ends_at_its_deadline_or_after_20_offers() {
    let searching = trip(State::Searching);
    assert_eq!(outcome(&searching, &Command::GiveUp, at(1_599)), "- invalid_transition");
    assert_eq!(outcome(&searching, &Command::GiveUp, at(1_600)), "no_driver Release");
    let all_offered = Trip { offers_made: OFFERS_MAX, ..trip(State::Offered) };
    let declined = all_offered.apply(&Command::Decline, at(1_000)).expect("allowed").trip;
    assert_eq!(declined.due(at(1_000)), Some(Command::GiveUp));
    assert_eq!(outcome(&declined, &Command::GiveUp, at(1_000)), "no_driver Release");
}

#[test]
fn unassigned_driver_restarts_the_search_and_the_fourth_ends_the_trip() {
    let searching = trip(State::Arrived).apply(&Command::DriverCancel, at(1_200)).expect("allowed").trip;
    assert_eq!(
        (searching.state, searching.driver_id, searching.assigned_at, searching.arrived_at),
        (State::Searching, None, None, None)
    );
    assert_eq!(searching.search_deadline_at, Some(at(1_800)));
    let fourth = Trip { unassignments: 3, ..trip(State::Assigned) };
    assert_eq!(outcome(&fourth, &Command::DriverUnresponsive, at(1_200)), "no_driver Release");
}

#[test]
fn search_ends_at_the_latest_pickup_also_after_an_unassignment() {
    let authorized = Command::Authorized { at: MachineTime::new(DateTime::from_timestamp(1, 0).expect("in range")) };
    let search = |trip: Trip, command: &Command, second| trip.apply(command, at(second)).expect("allowed").trip;
    let limited = |state, pickup_by| Trip { pickup_by: Some(at(pickup_by)), ..trip(state) };
    let searching = search(limited(State::Requested, 300), &authorized, 10);
    assert_eq!((searching.search_deadline_at, searching.due_at), (Some(at(300)), Some(at(300))));
    assert_eq!(outcome(&searching, &Command::GiveUp, at(299)), "- invalid_transition");
    assert_eq!(outcome(&searching, &Command::GiveUp, at(300)), "no_driver Release");

    let again = search(limited(State::Assigned, 1_500), &Command::DriverCancel, 1_200);
    assert_eq!(again.due_at, Some(at(1_500)), "before the end of a new search of ten minutes");
    let late = search(limited(State::Assigned, 1_000), &Command::DriverCancel, 1_200);
    assert_eq!(late.due(at(1_200)), Some(Command::GiveUp), "no driver can come in time");
    assert_eq!(search(limited(State::Requested, 3_000), &authorized, 10).due_at, Some(at(610)));
}

#[test]
fn arrival_needs_a_position_within_150_m() {
    let arrive = |distance_m| outcome(&trip(State::Assigned), &Command::Arrive { distance_m }, at(1_000));
    assert_eq!(arrive(Some(150.0)), "arrived None");
    assert_eq!(arrive(Some(150.1)), "- too_far_from_pickup");
    assert_eq!(arrive(None), "- too_far_from_pickup");
}

#[test]
fn fifth_wrong_pin_locks_and_wrong_pins_commit() {
    let start = |pin_failures| Trip { pin_failures, ..trip(State::Arrived) };
    let pin = |pin: &str| Command::Start { pin: pin.to_owned() };
    let wrong = refusal(&start(0), &pin("9999"), at(1_000));
    assert!(wrong.commits && wrong.code == Code::WrongPin);
    assert!(start(4).apply(&pin("0420"), at(1_000)).is_ok());
    assert_eq!(refusal(&start(5), &pin("0420"), at(1_000)).code, Code::PinLocked);
}

#[test]
fn no_show_is_allowed_after_300_s() {
    assert_eq!(outcome(&trip(State::Arrived), &Command::NoShow, at(1_249)), "- too_early");
    assert_eq!(
        outcome(&trip(State::Arrived), &Command::NoShow, at(1_250)),
        format!("no_show Charge({})", TARIFF.no_show_fee)
    );
}

#[test]
fn waiting_over_120_s_is_added_to_the_fare() {
    let started =
        trip(State::Arrived).apply(&Command::Start { pin: "0420".into() }, at(950 + 181)).expect("allowed").trip;
    assert_eq!(started.waiting_charge, 2 * TARIFF.waiting_per_minute);
    assert_eq!(
        outcome(&started, &Command::Complete, at(3_000)),
        format!("completed Charge({})", 1_500 + 2 * TARIFF.waiting_per_minute)
    );
}

#[test]
fn deadline_gives_a_command_from_its_second_on() {
    for state in State::ALL {
        let trip = Trip { due_at: Some(at(1_000)), ..trip(state) };
        let command = match state {
            State::Requested => Some(Command::PaymentTimeout),
            State::Searching => Some(Command::GiveUp),
            State::Offered => Some(Command::Expire),
            driven_or_over => {
                assert!(driven_or_over.has_driver() || driven_or_over.is_over());
                None
            }
        };
        assert_eq!(
            (trip.due(at(999)), trip.due(at(1_000)), trip.due(at(1_001))),
            (None, command.clone(), command),
            "{state}"
        );
        assert_eq!(Trip { due_at: None, ..trip }.due(at(5_000)), None);
    }
}

#[test]
fn missing_value_that_the_state_guarantees_is_an_impossible_row() {
    let cancel = Command::RiderCancel { driver_unresponsive: false };
    let start = Command::Start { pin: "0420".to_owned() };
    let cases = [
        (Trip { search_deadline_at: None, ..trip(State::Searching) }, Command::GiveUp, "search_deadline_at"),
        (Trip { search_deadline_at: None, ..trip(State::Offered) }, Command::Expire, "search_deadline_at"),
        (Trip { assigned_at: None, ..trip(State::Assigned) }, cancel, "assigned_at"),
        (Trip { arrived_at: None, ..trip(State::Arrived) }, Command::NoShow, "arrived_at"),
        (Trip { arrived_at: None, ..trip(State::Arrived) }, start, "arrived_at"),
    ];
    for (trip, command, expected) in cases {
        for error in [trip.apply(&command, at(1_000)).expect_err("impossible"), trip.check().expect_err("impossible")] {
            assert!(matches!(&error, Error::ImpossibleRow { column, .. } if *column == expected), "{error}");
        }
    }
    for state in State::ALL {
        assert!(trip(state).check().is_ok(), "{state}");
    }
}

#[test]
fn each_transition_of_a_ride_sets_its_fields() {
    let apply = |trip: &Trip, command: Command, second| trip.apply(&command, at(second)).expect("allowed").trip;
    let authorized_at = MachineTime::new(DateTime::from_timestamp(1, 0).expect("in range"));
    let searching = apply(&trip(State::Requested), Command::Authorized { at: authorized_at }, 10);
    assert_eq!((searching.version, searching.authorized_at), (6, Some(authorized_at)));
    assert_eq!((searching.searching_since, searching.search_deadline_at), (Some(at(10)), Some(at(610))));
    assert_eq!(searching.due_at, Some(at(610)));

    let offered = apply(&searching, Command::Offer { expires_at: at(25) }, 10);
    assert_eq!((offered.offers_made, offered.due_at), (2, Some(at(25))));
    let again = apply(&offered, Command::Expire, 25);
    assert_eq!((again.searching_since, again.due_at), (Some(at(10)), Some(at(610))), "both stay");

    let driver = DriverId::from(Uuid::from_u128(9));
    let assigned = apply(&apply(&again, Command::Offer { expires_at: at(40) }, 30), Command::Accept { driver }, 31);
    assert_eq!((assigned.driver_id, assigned.assigned_at, assigned.due_at), (Some(driver), Some(at(31)), None));
    let arrived = apply(&assigned, Command::Arrive { distance_m: Some(0.0) }, 60);
    let started = apply(&arrived, Command::Start { pin: "0420".to_owned() }, 70);
    assert_eq!((arrived.arrived_at, started.started_at), (Some(at(60)), Some(at(70))));
    let completed = apply(&started, Command::Complete, 900);
    assert_eq!((completed.ended_at, completed.total, completed.cancelled_by), (Some(at(900)), Some(1_500), None));
    assert_eq!((completed.version, completed.driver_id), (13, Some(driver)));
}

#[test]
fn cancelled_by_is_set_with_and_without_a_fee() {
    let end = |state, command: Command| {
        let over = trip(state).apply(&command, at(2_000)).expect("allowed").trip;
        (over.cancelled_by, over.total)
    };
    let cancel = Command::RiderCancel { driver_unresponsive: false };
    assert_eq!(end(State::Searching, cancel.clone()), (Some(ActorKind::Rider), Some(0)));
    assert_eq!(end(State::Arrived, cancel), (Some(ActorKind::Rider), Some(TARIFF.cancellation_fee)));
    assert_eq!(end(State::InProgress, Command::Abort { charge: None }), (Some(ActorKind::Ops), Some(0)));
    assert_eq!(end(State::InProgress, Command::Abort { charge: Some(7) }), (Some(ActorKind::Ops), Some(7)));
    assert_eq!(end(State::Searching, Command::GiveUp), (None, Some(0)));
    assert_eq!(end(State::Requested, Command::PaymentDeclined), (None, Some(0)));
}

#[test]
fn refusal_names_state_and_allowed_commands() {
    let refused = |state, command: Command, second| refusal(&trip(state), &command, at(second));
    assert_eq!(refused(State::Completed, Command::Complete, 2_000).detail, "Cannot complete: the trip is completed.");
    let early = refused(State::Searching, Command::Complete, 2_000);
    assert_eq!(early.detail, "Cannot complete: the trip is searching. Allowed commands: offer, give_up, rider_cancel.");
    assert_eq!(early.more["state"], "searching");

    assert_eq!(refused(State::Arrived, Command::NoShow, 1_240).more["seconds_left"], 11);
    assert_eq!(refused(State::Assigned, Command::Arrive { distance_m: Some(150.6) }, 1_000).more["distance_m"], 151);
    let wrong_pin = |pin_failures| {
        let trip = Trip { pin_failures, ..trip(State::Arrived) };
        refusal(&trip, &Command::Start { pin: "9999".to_owned() }, at(1_000)).more["tries_left"].clone()
    };
    assert_eq!((wrong_pin(0), wrong_pin(1), wrong_pin(4)), (4.into(), 3.into(), 0.into()));
}

proptest! {
    #[test]
    fn trip_ends_at_most_once_and_never_changes_afterwards(choices in prop::collection::vec((0..commands().len(), 0..400_i64), 1..60)) {
        let commands = commands();
        let (mut trip, mut second, mut charges) = (trip(State::Requested), 0, 0);
        for (choice, wait_s) in choices {
            second += wait_s;
            let was_over = trip.state.is_over();
            if let Ok(transition) = trip.apply(&commands[choice], at(second)) {
                prop_assert!(!was_over);
                prop_assert_eq!(transition.trip.version, trip.version + 1);
                prop_assert_eq!(transition.trip.ended_at.is_some(), transition.trip.state.is_over());
                prop_assert!(transition.trip.clone().check().is_ok());
                charges += i32::from(transition.money != MoneyEffect::None);
                trip = transition.trip;
            }
        }
        prop_assert_eq!(charges, i32::from(trip.state.is_over()));
    }
}
