//! Lists of trip states outside of `trips::model` agree with it, or do not exist.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ridematch::trips::State;
use ridematch::trips::model::Charge;

use crate::harness::App;

/// Returns the states in single quotes.
fn states_in(sql: &str) -> BTreeSet<State> {
    sql.split('\'').skip(1).step_by(2).filter_map(State::parse).collect()
}

fn states_where(is: impl Fn(&State) -> bool) -> BTreeSet<State> {
    State::ALL.into_iter().filter(is).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_and_indexes_of_trips_list_the_states_of_the_code() {
    let app = App::start().await;
    let definitions: Vec<(String, String)> = sqlx::query_as(
        "select conname::text, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'trips'::regclass and contype = 'c'
         union all select indexname::text, indexdef from pg_indexes where tablename = 'trips'",
    )
    .fetch_all(app.sql())
    .await
    .unwrap();
    let lists: BTreeMap<_, _> = definitions.iter().map(|(name, sql)| (name.as_str(), states_in(sql))).collect();
    let lists: BTreeMap<_, _> = lists.into_iter().filter(|(_, states)| !states.is_empty()).collect();
    let ended_with_driver = |state: &State| matches!(state.charge(), Charge::Fare | Charge::NoShowFee);
    let searching = BTreeSet::from([State::Searching]);
    let expected = BTreeMap::from([
        ("driver_while_assigned", states_where(|state| state.has_driver() || ended_with_driver(state))),
        ("ended_at_when_over", states_where(|state| state.is_over())),
        ("searching_has_times", searching.clone()),
        ("times_of_state", states_where(|state| state.has_driver() || *state == State::Offered)),
        ("trips_to_search", searching),
    ]);
    assert_eq!(lists, expected);
    app.stop().await;
}

#[test]
fn simulated_riders_and_drivers_stop_in_the_states_that_are_over() {
    for state in State::ALL {
        assert_eq!(city::is_trip_over(state.as_str()), state.is_over(), "crates/city/src/web/api.rs: {state}");
    }
}

/// Queries join `trip_states` or `trip_transitions`, or compare `ended_at`.
#[test]
fn sql_of_the_service_lists_no_states() {
    // The audit requires a total of `completed` and `no_show` trips only.
    const ALLOWED: &str = "src/audit/store/money.rs";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") || path == root.join(ALLOWED) {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for list in source.split(" in (").skip(1).filter_map(|rest| rest.split(')').next()) {
                assert!(states_in(list).len() < 2, "{} lists trip states: {list}", path.display());
            }
        }
    }
}
