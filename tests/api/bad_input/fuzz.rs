//! Fuzzing: thousands of valid requests with random changes. The seed is fixed; a failure prints the request.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ApiResponse, Route, World, pointers};
use crate::harness::at_once;

const SEED: u64 = 20_100;

/// The number of requests, and of concurrent clients.
const REQUESTS: usize = 4_000;
const CLIENTS: usize = 8;

/// Fragments with a meaning in JSON, text, SQL or HTTP.
const FRAGMENTS: [&[u8]; 16] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"\0",
    b"\\u0000",
    b"\xff",
    b"\xf0\x9f\x9a\x95",
    b"-",
    b"1e9",
    b"null",
    b"'",
];

struct Fuzzer(StdRng);

impl Fuzzer {
    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all.choose(&mut self.0).unwrap().clone()
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit.max(1))
    }

    /// Returns a value that is invalid for most fields.
    fn value(&mut self) -> Value {
        let length = self.below(400);
        let values = [
            json!(null),
            json!(true),
            json!(self.0.random::<i64>()),
            json!(self.0.random::<u64>()),
            json!(self.0.random_range(-200..200)),
            json!(self.0.random_range(-400.0..400.0)),
            json!(f64::from_bits(self.0.random())),
            json!(""),
            json!("\u{0}"),
            json!("\u{1f695}".repeat(length)),
            json!("x".repeat(length * 10)),
            json!("trip_01h455vb4pex5vsknk084sn02q"),
            json!("2026-11-22T12:00:00Z"),
            json!([]),
            json!({}),
            json!([[[{}]]]),
            json!({"lat": 1, "lon": 2, "amount": 3, "currency": "USD"}),
        ];
        self.one_of(&values)
    }

    /// Changes, removes or adds one value of the document.
    fn tree(&mut self, mut value: Value) -> Value {
        let all = pointers(&value);
        if all.is_empty() {
            return self.value();
        }
        let pointer = self.one_of(&all);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let new = self.value();
        match self.below(4) {
            0 => {
                if let Some(object) = value.pointer_mut(parent).unwrap().as_object_mut() {
                    object.remove(name);
                }
            }
            1 => {
                if let Some(object) = value.pointer_mut(parent).unwrap().as_object_mut() {
                    object.insert(format!("{name}_{}", self.below(3)), new);
                }
            }
            _ => *value.pointer_mut(&pointer).unwrap() = new,
        }
        value
    }

    /// Changes, removes, duplicates or inserts bytes, `times` times.
    fn bytes(&mut self, mut bytes: Vec<u8>, times: usize) -> Vec<u8> {
        for _ in 0..times {
            let at = self.below(bytes.len());
            let end = (at + self.below(20)).min(bytes.len());
            match self.below(4) {
                0 if at < bytes.len() => bytes[at] = self.0.random(),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.extend_from_within(at..end),
                _ => drop(bytes.splice(at..at, self.one_of(&FRAGMENTS).iter().copied())),
            }
        }
        bytes
    }

    fn body(&mut self, valid: &Value) -> Vec<u8> {
        let mut value = valid.clone();
        for _ in 0..self.below(4) {
            value = self.tree(value);
        }
        let bytes = value.to_string().into_bytes();
        let times = self.below(6).saturating_sub(1);
        self.bytes(bytes, times)
    }

    /// Changes a path after its first segment. Bytes that could end it are percent-encoded.
    fn path(&mut self, valid: &str) -> String {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'_' | b'?' | b'=' | b'&' | b'.' | b'-' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02x}"),
        };
        let (kept, fuzzed) = valid.split_at(valid[1..].find('/').unwrap() + 2);
        let times = 1 + self.below(2);
        let fuzzed = self.bytes(fuzzed.as_bytes().to_vec(), times);
        format!("{kept}{}", fuzzed.into_iter().map(escape).collect::<String>())
    }
}

/// Asserts that the response is not a 5xx, and that an error is a problem document.
fn assert_handled(response: ApiResponse, what: &str) {
    let status = response.status.as_u16();
    assert!(status < 500, "seed {SEED}: {what} got {status}: {:#}", response.json());
    if status >= 400 {
        let code = response.code();
        response.expect_problem(status, &code);
    }
}

async fn send_fuzzed(route: &Route, random: &mut Fuzzer) {
    let body = random.body(&route.valid);
    let what = format!("{} with {}", route.name(), String::from_utf8_lossy(&body));
    assert_handled(route.send(body).await, &what);
}

#[tokio::test(flavor = "multi_thread")]
async fn fuzzed_bodies_never_cause_a_5xx() {
    let world = World::new().await;
    // Not the clock: setting it ahead would end the trips of the other routes.
    let routes: Vec<_> = world.routes.iter().filter(|route| !route.path.ends_with("/clock")).collect();
    at_once((0..CLIENTS as u64).map(|nth| {
        let routes = &routes;
        async move {
            let mut random = Fuzzer(StdRng::seed_from_u64(SEED + nth));
            for _ in 0..REQUESTS / CLIENTS {
                let route = routes[random.below(routes.len())];
                send_fuzzed(route, &mut random).await;
            }
        }
    }))
    .await;
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fuzzed_paths_never_cause_a_5xx() {
    let world = World::new().await;
    let trip = world.routes.iter().find(|route| route.path.ends_with("/start")).unwrap().path.replace("/start", "");
    let payment =
        world.routes.iter().find(|route| route.path.ends_with("/refunds")).unwrap().path.replace("/refunds", "");
    let paths = [
        trip.clone(),
        format!("{trip}/events?limit=5&cursor=1"),
        format!("{trip}/driver"),
        format!("{trip}/receipt"),
        format!("{trip}/explain"),
        payment,
        "/v1/trips?limit=5&state=searching&cursor=c0192a3b4c5d67e8f90a1b2c3d4e5f607".to_owned(),
        "/v1/drivers/nearby?lat=40.75&lon=-73.98&radius_m=8000&limit=5&class=standard".to_owned(),
        format!("/v1/ops/ledger?trip_id={}", trip.rsplit('/').next().unwrap()),
        "/problems/not_found".to_owned(),
    ];
    let ops = &world.app.ops().await;
    at_once((0..CLIENTS as u64).map(|nth| {
        let paths = &paths;
        async move {
            let mut random = Fuzzer(StdRng::seed_from_u64(SEED + 100 + nth));
            for _ in 0..REQUESTS / CLIENTS / 4 {
                let valid = &paths[random.below(paths.len())];
                let path = random.path(valid);
                let method = if random.below(8) == 0 { Method::POST } else { Method::GET };
                let request = ops.request(method.clone(), &path).header("If-None-Match", "\"1\"");
                assert_handled(ApiResponse::of(request).await, &format!("{method} {path}"));
            }
        }
    }))
    .await;
    world.assert_unharmed().await;
}
