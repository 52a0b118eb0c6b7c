#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pack {
    check: Vec<CheckSpec>,
}

/// One of each kind.
const ALL: &str = r#"
    [[check]]
    kind = "outcome"
    what = "Riders at the station get a ride."
    ends = ["completed"]
    limit.at_least = 0.9
    among = { group = "station", count_min = 20 }
    [[check]]
    kind = "offers"
    what = "Offers do not expire."
    ends = ["expired"]
    limit.at_most = 0.05
    [[check]]
    kind = "status"
    what = "Quotes are answered."
    operation = "POST /v1/quotes"
    statuses = [503]
    limit.at_most = 0.01
    among = { from_s = 2, until_s = 10, count_min = 100 }
    [[check]]
    kind = "latency"
    what = "Accepting is as fast as ever."
    operation = "POST /v1/offers/{id}/accept"
    percentile = 99
    limit = { at_most = 50, times_healthy = 3 }
    [[check]]
    kind = "throughput"
    what = "As many quotes as the healthy build."
    operation = "POST /v1/quotes"
    limit.of_healthy = 0.8
    [[check]]
    kind = "wait"
    what = "A driver is found within a minute."
    percentile = 90
    limit.at_most = 60
    [[check]]
    kind = "positions"
    what = "Positions are accepted."
    verdicts = ["accepted"]
    limit.at_least = 0.9
    [[check]]
    kind = "metric"
    what = "The index has the free drivers."
    sample = 'ridematch_index_drivers{state="free"}'
    limit.at_least = 10
    [[check]]
    kind = "sql"
    what = "Every captured payment has a posting."
    query = "select 1 where false"
    [[check]]
    kind = "delivered"
    what = "Completed trips reach the partner."
    event = "trip.completed"
    state = "completed"
    [[check]]
    kind = "own"
    what = "Riders see their own trips."
    [[check]]
    kind = "restarts"
    what = "The process stays up."
    limit.at_most = 0
    from_s = 8
    [[check]]
    kind = "log"
    what = "No deadlock is logged."
    pattern = "deadlock"
    limit.at_most = 0
    [[check]]
    kind = "recorded"
    what = "A repeated request gets the same trip."
    name = "same_key_same_answer"
"#;

#[test]
fn every_kind_of_check_is_read_and_written() {
    let pack: Pack = toml::from_str(ALL).unwrap();
    assert_eq!(pack.check.len(), 14);
    let CheckSpec::Outcome(outcome) = &pack.check[0] else { panic!("{:?}", pack.check[0]) };
    assert_eq!((outcome.among.count_min, outcome.limit.at_least), (20, Some(0.9)));
    let json = serde_json::to_string(&pack).unwrap();
    assert_eq!(serde_json::from_str::<Pack>(&json).unwrap(), pack);
}

#[test]
fn unknown_fields_are_refused() {
    for wrong in ["limit.at_mots = 3", "limit.at_most = 3\nsince = 1"] {
        let text = format!("[[check]]\nkind = \"log\"\nwhat = \"x\"\npattern = \"y\"\n{wrong}");
        assert!(toml::from_str::<Pack>(&text).is_err(), "{wrong}");
    }
}
