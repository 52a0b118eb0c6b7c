#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::behavior::Behavior;
use crate::cli::{Habits, Reactions};
use crate::clock::as_seconds;
use crate::model::Class;
use crate::position::Position;
use crate::run_context::tests::offline;

const HERE: Position = Position { lat: 40.7, lon: -74.0 };

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(s, 0).unwrap()
}

fn rider(context: &Arc<RunContext>, number: u32) -> Rider {
    let request = Request {
        name: number.to_string(),
        departs_after: TimeDelta::zero(),
        pickup: HERE,
        dropoff: HERE,
        class: Class::Standard,
    };
    Rider::new(context.clone(), request)
}

/// A trip that was requested at 0 s, and has had a driver since 400 s if it is assigned.
fn progress(state: TripState) -> TripProgress {
    let history = TripHistory { trip_id: "t".into(), requested_at: at(0), states: Vec::new(), shown_eta: None };
    let assigned_at = (state == TripState::Assigned).then(|| at(400));
    TripProgress { state, assigned_at, arrived_at: None, history }
}

#[test]
fn hive_riders_give_up_after_600_s_also_with_a_car_on_its_way() {
    use TripState::{Arrived, Assigned, InProgress, Offered, Requested, Searching};
    let context = Arc::new(offline(Behavior::new(Habits::Hive, Reactions::default())));
    let rider = rider(&context, 1);
    for state in [Requested, Searching, Offered, Assigned] {
        assert_eq!(rider.cancels_at(&progress(state)), Some(at(600)), "{state:?}");
    }
    for state in [Arrived, InProgress] {
        assert_eq!(rider.cancels_at(&progress(state)), None, "{state:?}");
    }
}

#[test]
fn riders_of_today_leave_a_pickup_that_takes_too_long() {
    let context = Arc::new(offline(Behavior { changes_mind: 0.0, impatient: 0.0, ..Behavior::default() }));
    let riders: Vec<Rider> = (0..400).map(|number| rider(&context, number)).collect();
    assert!(riders.iter().all(|rider| rider.cancels_at(&progress(TripState::Searching)).is_none()));
    let patience_s = |rider: &Rider| as_seconds(rider.cancels_at(&progress(TripState::Assigned)).unwrap() - at(400));
    let leaves_within = |s: f64| riders.iter().filter(|rider| patience_s(rider) < s).count();
    // 4 %, half and 96 % in the mean.
    let counts = [300.0, 600.0, 1_200.0].map(leaves_within);
    assert!(counts[0] < 40 && (160..240).contains(&counts[1]) && counts[2] > 360, "{counts:?}");
}

#[test]
fn last_wait_of_a_rider_is_the_shortest_one() {
    let rider = Rider { patience: Some(TimeDelta::seconds(90)), ..rider(&Arc::new(offline(Behavior::default())), 1) };
    let searching = |rider: &Rider| rider.cancels_at(&progress(TripState::Searching));
    let hasty = Rider { changes_mind_after: Some(TimeDelta::seconds(30)), ..rider };
    assert_eq!(searching(&hasty), Some(at(30)));
    let patient = Rider { changes_mind_after: None, ..hasty };
    assert_eq!(searching(&patient), Some(at(90)));
}
