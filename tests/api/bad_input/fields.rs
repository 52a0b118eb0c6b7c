//! Invalid values of the right type.

use serde_json::{Value, json};

use super::{World, assert_names, replaced};

/// The end of the route's path, the field, the expected status and code, and invalid values.
type Case = (&'static str, &'static str, u16, &'static str, Vec<Value>);

/// Texts that are not valid JSON numbers, or out of range of `f64`.
const NOT_NUMBERS: [&str; 10] = ["NaN", "Infinity", "-Infinity", "nan", "1e999", "-1e999", "0x10", "+1", ".5", "1."];

const LATITUDES: [f64; 5] = [90.000_001, -90.000_001, 91.0, 1e308, -1e308];
const LONGITUDES: [f64; 4] = [180.000_001, -180.000_001, 181.0, 1e308];

/// PostgreSQL's `text` cannot store NUL, so validation must reject it.
const TEXTS: [&str; 6] = ["", "\u{0}", "a\u{0}b", "line\nbreak", "\u{7f}", "\u{1b}[31m"];

/// Texts that show nothing: white space, and characters without a shape.
const BLANKS: [&str; 7] = [" ", "\u{200b}", "\u{200d}\u{200d}", "\u{2800}", "\u{a0}\u{3000}", "\u{3164}", "\u{feff}"];
const TIMES: [&str; 12] = [
    "now",
    "",
    "2024-13-01T00:00:00Z",
    "2024-01-01T00:00:00",
    "2024-01-01",
    "1e9",
    "\u{0}",
    "99999999999-01-01T00:00:00Z",
    "-4714-01-01T00:00:00Z",
    "-262143-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z",
    "9999-12-31T23:59:59-00:01",
];
const PINS: [&str; 8] = ["", "123", "12345", "12a4", " 123", "-123", "12\u{0}4", "\u{661}\u{662}\u{663}\u{664}"];
const CURRENCIES: [&str; 7] = ["usd", "US", "USDX", "", "\u{0}\u{0}\u{0}", "\u{20ac}", "EUR"];

/// Ids of other kinds, and malformed ones.
const OTHER_IDS: [&str; 7] = [
    "trip_01h455vb4pex5vsknk084sn02q",
    "01h455vb4pex5vsknk084sn02q",
    "",
    "_",
    "\u{0}",
    "quo",
    "QUO_01h455vb4pex5vsknk084sn02q",
];

/// Ids with the right prefix that are truncated, out of range, or in another alphabet.
const CUT_IDS: [&str; 5] =
    ["quo_", "quo_01h455", "quo_81h455vb4pex5vsknk084sn02q", "quo_01h455vb4pex5vsknk084sn02u", "quo_\u{0}"];

fn all<T: Into<Value> + Copy>(values: &[T]) -> Vec<Value> {
    values.iter().map(|value| (*value).into()).collect()
}

/// Invalid texts, and two that are too long.
fn texts(one_too_many: usize) -> Vec<Value> {
    let long = [one_too_many, 100_000].map(|chars| Value::from("x".repeat(chars)));
    TEXTS.iter().map(|text| Value::from(*text)).chain(long).collect()
}

/// Numbers that no amount, scale or duration can have, and `others`.
fn numbers(others: &[i64]) -> Vec<Value> {
    // Integers have no fraction, not even of zero.
    let huge = [i64::MIN.into(), u64::MAX.into(), json!(1e300), json!(1.15), json!(1.0), json!(-0.0)];
    huge.into_iter().chain(all(others)).collect()
}

fn cases() -> Vec<Case> {
    let (invalid, wrong_id) = ("invalid_request", "invalid_id");
    vec![
        ("/quotes", "/pickup/lat", 422, invalid, all(&LATITUDES)),
        ("/quotes", "/dropoff/lon", 422, invalid, all(&LONGITUDES)),
        ("/quotes", "/class", 422, invalid, all(&["limousine", "", "STANDARD", "\u{0}"])),
        ("/trips", "/quote_id", 400, wrong_id, all(&OTHER_IDS)),
        ("/trips", "/quote_id", 400, wrong_id, all(&CUT_IDS)),
        ("/trips", "/payment_method", 422, invalid, texts(256)),
        ("/trips", "/payment_method", 422, invalid, all(&["pm card", "pm\u{e9}"])),
        ("/start", "/pin", 422, invalid, all(&PINS)),
        ("/abort", "/charge/amount", 422, invalid, numbers(&[-1, i64::MAX])),
        ("/abort", "/charge/currency", 422, invalid, all(&CURRENCIES)),
        ("/refunds", "/amount/amount", 422, invalid, numbers(&[0, -1])),
        ("/refunds", "/amount/currency", 422, invalid, all(&CURRENCIES)),
        ("/availability", "/name", 422, invalid, texts(81)),
        ("/availability", "/plate", 422, invalid, texts(17)),
        ("/availability", "/name", 422, invalid, all(&BLANKS)),
        ("/availability", "/plate", 422, invalid, all(&BLANKS)),
        ("/availability", "/class", 422, invalid, all(&["tank"])),
        ("/location", "/position/lat", 422, invalid, all(&LATITUDES)),
        ("/location", "/recorded_at", 422, invalid, all(&TIMES)),
        ("/locations", "/0/position/lon", 422, invalid, all(&LONGITUDES)),
        ("/locations", "/0/recorded_at", 422, invalid, all(&TIMES)),
        ("/locations", "/0/driver_id", 400, wrong_id, all(&OTHER_IDS)),
        ("/tokens", "/role", 422, invalid, all(&["root", "", "Rider"])),
        ("/tokens", "/subject", 400, wrong_id, all(&OTHER_IDS)),
        ("/clock", "/scale", 422, invalid, numbers(&[0, 1_001, -1])),
        ("/clock", "/advance_s", 422, invalid, numbers(&[-1, 31_536_001, i64::MAX])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_value_is_refused_by_field_name() {
    let world = World::new().await;
    for (end, pointer, status, code, values) in cases() {
        let route = world.routes.iter().find(|route| route.path.ends_with(end)).unwrap();
        for value in values {
            let shown: String = value.to_string().chars().take(40).collect();
            let response = route.send(replaced(&route.valid, pointer, value).to_string()).await;
            assert_names(response, status, code, pointer, &format!("{} with {shown} at {pointer}", route.name()));
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_id_in_body_is_400_with_expected_prefix() {
    let world = World::new().await;
    for (end, pointer, expected) in [("/trips", "/quote_id", "`quo_`"), ("/tokens", "/subject", "`rdr_`")] {
        let route = world.routes.iter().find(|route| route.path.ends_with(end)).unwrap();
        for wrong in ["trip_01h455vb4pex5vsknk084sn02q", "drv_x"] {
            let response = route.send(replaced(&route.valid, pointer, wrong.into()).to_string()).await;
            let detail = response.expect_problem(400, "invalid_id")["errors"][0]["detail"].to_string();
            assert!(detail.contains(expected), "{detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_number_is_400() {
    let world = World::new().await;
    let digits = "9".repeat(400);
    for (end, field) in [("/quotes", "\"lat\":"), ("/refunds", "\"amount\":"), ("/clock", "\"advance_s\":")] {
        let route = world.routes.iter().find(|route| route.path.ends_with(end)).unwrap();
        let valid = route.valid.to_string();
        let (before, rest) = valid.split_at(valid.rfind(field).unwrap() + field.len());
        let after = &rest[rest.find([',', '}']).unwrap()..];
        for number in NOT_NUMBERS.into_iter().chain([digits.as_str()]) {
            let response = route.send(format!("{before}{number}{after}")).await;
            assert!(response.status == 400, "{} with {number}: {:#}", route.name(), response.json());
            response.expect_problem(400, "malformed");
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_valid_values_are_accepted() {
    let world = World::new().await;
    let ends = |end: &str| world.routes.iter().find(|route| route.path.ends_with(end)).unwrap();
    // Extreme times are rejected by verdict, not by an error.
    let location = ends("/location");
    let late = ["9999-12-31T23:59:59.999999999Z", "2999-01-01T00:00:00+14:00"];
    let early = ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"];
    for (times, verdicts) in [(&late[..], ["future", "future"]), (&early[..], ["stale", "out_of_order"])] {
        for time in times {
            let body = replaced(&location.valid, "/recorded_at", (*time).into());
            let verdict = location.send(body.to_string()).await.expect(200)["verdict"].clone();
            assert!(verdicts.map(Value::from).contains(&verdict), "{time}: {verdict}");
        }
    }
    // The poles, the date line, negative zero, and subnormal numbers.
    let quotes = ends("/quotes");
    for (lat, lon) in [(90.0, 0.0), (-90.0, 180.0), (0.0, -180.0), (-0.0, -0.0), (5e-324, 1e-300)] {
        let place = json!({"lat": lat, "lon": lon});
        quotes.send(json!({"pickup": place, "dropoff": place}).to_string()).await.expect(201);
    }
    let far = json!({"pickup": {"lat": 90, "lon": 0}, "dropoff": {"lat": -90, "lon": 0}});
    assert!(quotes.send(far.to_string()).await.status.as_u16() < 500);
    // Unusual names.
    let availability = ends("/availability");
    for name in [
        "\u{1f469}\u{200d}\u{1f467}",
        "Zo\u{eb} \u{1f695}",
        "\u{5f20}\u{4f1f}",
        "x",
        "'; drop table trips; --",
        "\u{202e}lleb",
    ] {
        let profile =
            availability.send(replaced(&availability.valid, "/name", name.into()).to_string()).await.expect(200);
        assert_eq!(profile["name"], name);
    }
    ends("/locations").send("[]").await.expect(200);
    let many = Value::from(vec![ends("/locations").valid[0].clone(); 1_001]);
    assert_names(ends("/locations").send(many.to_string()).await, 422, "invalid_request", "", "1,001 positions");
    world.assert_unharmed().await;
}
