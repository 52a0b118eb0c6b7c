#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const VEHICLE_ROWS: &str = "vehicle_id,lat,lon\nv0,40.7,-74.0\n";

fn scenario(requests: impl AsRef<[u8]>, vehicles: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(REQUESTS), requests).unwrap();
    fs::write(folder.path().join(VEHICLES), vehicles).unwrap();
    folder
}

fn whole(folder: &Path) -> Result<Scenario, ScenarioError> {
    Scenario::read(folder, Window::default())
}

#[test]
fn departure_time_has_three_formats() {
    let expected = "1970-01-02T00:02:00".parse::<NaiveDateTime>().unwrap();
    for text in
        ["1970-01-02 00:02:00", "1970-01-02T00:02:00", "86520", "1970-01-02T00:02:00Z", "1970-01-02 00:02:00.000"]
    {
        assert_eq!(moment(text).unwrap(), expected, "{text}");
    }
    for text in ["", "-5", "12.5", "1970-13-02 00:00:00", "tomorrow", "9999-12-31 00:00:00", "99999999999999"] {
        assert!(moment(text).is_err(), "{text}");
    }
}

#[test]
fn places_move_to_the_nearest_junctions_and_a_ride_within_one_stays() {
    let requests = "request_id,o_lat,o_lon,d_lat,d_lon,departure_time\n\
        0,40.7001,-74.0,40.7099,-74.0,60\n\
        1,40.7001,-74.0,40.6999,-74.0,60\n";
    let folder = scenario(requests, "vehicle_id,lat,lon\nv0,40.7098,-74.0\n");
    let node = |id: u32, lat: f64| serde_json::json!({"id": id, "y": lat, "x": -74.0});
    let link =
        serde_json::json!({"source": 0, "target": 1, "length": 1_112.0, "speed_kmph": 30.0, "travel_time": 133.0});
    let roads = serde_json::json!({"directed": true, "nodes": [node(0, 40.70), node(1, 40.71)], "links": [link]});
    fs::write(folder.path().join(ROADS), roads.to_string()).unwrap();
    let mut read = whole(folder.path()).unwrap();
    read.move_to_junctions();
    let (south, north) = (Position { lat: 40.70, lon: -74.0 }, Position { lat: 40.71, lon: -74.0 });
    assert_eq!(read.city.fleet[0].starts_at, north);
    assert_eq!((read.demand[0].pickup, read.demand[0].dropoff), (south, north));
    let within_one = &read.demand[1];
    assert!((within_one.pickup.lat - 40.7001).abs() + (within_one.dropoff.lat - 40.6999).abs() < 1e-9);
}

#[test]
fn invalid_rows_are_reported_with_their_lines() {
    let requests = b"\xEF\xBB\xBFrequest_id , o_lat,o_lon,d_lat,d_lon,departure_time,passengers,fleet_id\r\n\
        0,40.72,-73.99,40.73,-74.00,2014-12-21 00:00:00,1,tnc\r\n\
        1,40.72,-73.99,40.73,-74.00,2014-12-21T00:00:05\r\n\
        \r\n\
        2,40.72,-73.99,40.73\r\n\
        3,north,-73.99,40.73,-74.00,2014-12-21 00:00:00,1,tnc\r\n\
        4,95.0,-73.99,40.73,-74.00,2014-12-21 00:00:00,1,tnc\r\n\
        5,40.72,-73.99,40.73,-74.00,later,1,tnc\r\n\
        \"6\",40.72,-73.99,40.73,-74.00,\"2014-12-21 00:00:01\",1,tnc,and,more\r\n\
        \"7,40.72,-73.99,NaN,-74.00,2014-12-21 00:00:01,1,tnc\r\n\
        \xFF\xFE,40.72,-73.99,40.73,-74.00,2014-12-21 00:00:00,1,tnc\r\n\
        8,40.72,-73.99,40.73,-74.00,1419120030,2,tnc";
    let vehicles = "vehicle_id,lat,lon,mechatronics_id\nv0,40.7,-74.0,leaf\nv0,40.7,-74.0,leaf\nv1,40.7\n";
    let folder = scenario(requests, vehicles);
    let read = whole(folder.path()).unwrap();

    let names: Vec<&str> = read.demand.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["0@2", "6@9", "1@3", "8@12"]);
    assert_eq!(read.city.fleet.len(), 1);
    let rejected: Vec<String> = read.rejected.iter().map(|r| format!("{}:{}: {}", r.file, r.line, r.reason)).collect();
    insta::assert_snapshot!(rejected.join("\n"), @r"
    vehicles.csv:3: vehicle `v0` occurs twice
    vehicles.csv:4: `lon` is missing
    requests.csv:5: `departure_time` is missing
    requests.csv:6: `o_lat` is not a number: `north`
    requests.csv:7: `o_lat`, `o_lon`: latitude 95 is not between -90 and 90
    requests.csv:8: `departure_time` is not a time: `later`
    requests.csv:10: `departure_time` is missing
    requests.csv:11: `request_id` is not UTF-8
    ");
}

#[test]
fn window_selects_and_shifts_departures() {
    let rows: String = [19, 20, 21, 23].iter().map(|h| format!("{h},1,1,2,2,2014-12-21 {h}:30:00\n")).collect();
    let requests = format!("request_id,o_lat,o_lon,d_lat,d_lon,departure_time\n{rows}25,1,1,2,2,2014-12-22 01:30:00\n");
    let folder = scenario(requests, VEHICLE_ROWS);
    let departures = |from: Option<&str>, until: Option<&str>| -> Vec<i64> {
        let time = |text: &str| text.parse().unwrap();
        let window = Window { from: from.map(time), until: until.map(time) };
        let read = Scenario::read(folder.path(), window).unwrap();
        read.demand.iter().map(|request| request.departs_after.num_minutes()).collect()
    };
    assert_eq!(departures(Some("20:00"), Some("21:30")), [30]);
    assert_eq!(departures(Some("20:30"), Some("24:00")), [0, 60, 180]);
    assert_eq!(departures(Some("23:00"), Some("02:00")), [30, 150]);
    assert_eq!(departures(None, Some("20:00")), [1170]);
    assert_eq!(departures(Some("20:00"), None).len(), 4);
    for wrong in ["24:01", "2000", "20:60", "-1:00", "8:00", "+1:00", ""] {
        assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
    }
}

#[test]
fn scenario_without_usable_rows_is_an_error() {
    let missing = whole(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(missing.contains("/nowhere") && missing.contains(VEHICLES), "{missing}");
    let folder = scenario("request_id,o_lat,o_lon,d_lat,d_lon\n", VEHICLE_ROWS);
    assert!(whole(folder.path()).unwrap_err().to_string().contains("no column `departure_time`"));
    let folder = scenario("request_id,o_lat,o_lon,d_lat,d_lon,departure_time\n1,2\n", VEHICLE_ROWS);
    assert!(whole(folder.path()).unwrap_err().to_string().contains("no request can be used (1 rows rejected)"));
    let folder = scenario("", "");
    assert!(whole(folder.path()).is_err());
}

#[test]
fn manhattan_scenario_is_read_completely() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/scenarios/manhattan"));
    if !folder.exists() {
        eprintln!("skipped: the Manhattan scenario was not found");
        return;
    }
    let read = whole(folder).unwrap();
    assert_eq!((read.demand.len(), read.rejected.len(), read.city.fleet.len()), (9_990, 0, 200));
    let streets = &read.city.streets;
    assert_eq!((streets.junctions().len(), streets.segments().len(), read.skipped_streets), (4_197, 7_534, 0));
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(requests in prop::collection::vec(any::<u8>(), 0..300), vehicles in "\\PC{0,200}") {
        let folder = scenario(&requests, vehicles);
        let _ = whole(folder.path());
    }

    #[test]
    fn every_row_is_used_or_rejected(rows in prop::collection::vec("[-0-9a-zA-Z\":. ,]{1,60}", 1..20)) {
        let requests = format!(
            "request_id,o_lat,o_lon,d_lat,d_lon,departure_time\nlast,1,1,2,2,0\n{}\n",
            rows.join("\n"),
        );
        let folder = scenario(requests, VEHICLE_ROWS);
        let read = whole(folder.path()).unwrap();
        let filled = rows.iter().filter(|row| !row.trim().is_empty()).count();
        prop_assert_eq!(read.demand.len() + read.rejected.len(), filled + 1);
    }
}
