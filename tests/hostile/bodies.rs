//! What can be wrong with any body.

use serde_json::{Value, json};

use super::{Answer, World, assert_names, pointers, replaced, without};
use crate::harness::App;

/// More than the service reads.
const TWO_MEGABYTES: usize = 2 << 20;

fn in_the_first_string(text: &str, what: &[u8]) -> Vec<u8> {
    let (before, after) = text.split_at(text.find('"').unwrap() + 1);
    [before.as_bytes(), what, after.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_is_refused() {
    let world = World::new().await;
    for route in &world.routes {
        let valid = route.valid.to_string();
        let broken: [(&str, Vec<u8>); 14] = [
            ("nothing", Vec::new()),
            ("blanks", b" \r\n\t".to_vec()),
            ("no JSON", b"hello".to_vec()),
            ("a form", b"pickup=here&dropoff=there".to_vec()),
            ("half of it", valid.as_bytes()[..valid.len() / 2].to_vec()),
            ("all but the end", valid.as_bytes()[..valid.len() - 1].to_vec()),
            ("something after the end", format!("{valid} {valid}").into_bytes()),
            ("a comma too many", format!("{},}}", &valid[..valid.len() - 1]).into_bytes()),
            ("single quotes", valid.replace('"', "'").into_bytes()),
            ("a comment", format!("/* */ {valid}").into_bytes()),
            ("a byte order mark", [b"\xef\xbb\xbf", valid.as_bytes()].concat()),
            ("UTF-16", valid.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("bytes that are no UTF-8", in_the_first_string(&valid, b"\xff\xfe")),
            ("half a surrogate pair", in_the_first_string(&valid, b"\\ud83d")),
        ];
        for (what, body) in broken {
            let no_fields_needed =
                body.is_empty() && (route.path.ends_with("/abort") || route.path.ends_with("/refunds"));
            if no_fields_needed {
                continue; // nothing is a request there, and a good one
            }
            let answer = route.send(body).await;
            assert!(answer.status == 400, "{} with {what}: {:#}", route.name(), answer.json());
            answer.expect_problem(400, "malformed");
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_another_shape_is_refused() {
    let world = World::new().await;
    for route in &world.routes {
        let items = if route.valid.is_array() { json!({}) } else { json!([]) };
        for other in [
            items,
            json!(null),
            json!(true),
            json!(17),
            json!("text"),
            json!(1.5),
            json!([[]]),
            json!([17]),
            json!([{}]),
        ] {
            let answer = route.send(other.to_string()).await;
            assert!(answer.status == 422, "{} with {other}: {:#}", route.name(), answer.json());
            answer.expect_problem(422, "invalid_request");
        }
        // A million brackets are no reason to run out of stack.
        for nested in
            ["[".repeat(1_000_000), "{\"pickup\":".repeat(100_000), format!("[{}", "[".repeat(200) + &"]".repeat(201))]
        {
            let answer = route.send(nested).await;
            assert!(answer.status == 400 || answer.status == 422, "{}: {:#}", route.name(), answer.json());
            let code = answer.code();
            answer.expect_problem(if code == "malformed" { 400 } else { 422 }, &code);
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_that_is_missing_unknown_or_of_another_type_is_named() {
    let world = World::new().await;
    for route in &world.routes {
        for pointer in route.required {
            let answer = route.send(without(&route.valid, pointer).to_string()).await;
            assert_names(answer, 422, "invalid_request", pointer, &route.name());
        }
        let all = pointers(&route.valid);
        let inner = all.iter().filter(|pointer| route.valid.pointer(pointer).unwrap().is_object());
        let top = String::new();
        for object in inner.chain(route.valid.is_object().then_some(&top)) {
            let mut body = route.valid.clone();
            body.pointer_mut(object).unwrap()["surprise"] = json!({"deep": [1, 2, 3]});
            let answer = route.send(body.to_string()).await;
            assert_names(answer, 422, "invalid_request", &format!("{object}/surprise"), &route.name());
        }
        for pointer in &all {
            let other = match route.valid.pointer(pointer).unwrap() {
                Value::Object(_) | Value::Array(_) => json!("text"),
                _ => json!({"an": ["object"]}),
            };
            let answer = route.send(replaced(&route.valid, pointer, other).to_string()).await;
            assert_names(answer, 422, "invalid_request", pointer, &route.name());
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_there_twice_is_named() {
    let world = World::new().await;
    for route in &world.routes {
        let Some(members) = route.valid.as_object() else { continue };
        for (name, value) in members {
            let valid = route.valid.to_string();
            let twice = format!("{},\"{name}\":{value}}}", &valid[..valid.len() - 1]);
            assert_names(route.send(twice).await, 422, "invalid_request", &format!("/{name}"), &route.name());
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_two_megabytes_is_too_large_on_every_route() {
    let world = World::new().await;
    for route in &world.routes {
        // Said beforehand, and found out on the way.
        let padded = format!("{}{}", route.valid, " ".repeat(TWO_MEGABYTES));
        let piece = vec![b' '; 1 << 16];
        let pieces = (0..32).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        for body in [reqwest::Body::from(padded), stream] {
            route.send(body).await.expect_problem(413, "body_too_large");
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_type_is_refused() {
    let world = World::new().await;
    for route in &world.routes {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "application/jsonp",
            "json",
            "",
            "\u{e9}",
        ] {
            let request = route.who.request(route.method.clone(), &route.path);
            let kind = reqwest::header::HeaderValue::from_bytes(kind.as_bytes()).unwrap();
            let request = request.header("Idempotency-Key", crate::new_key()).header("Content-Type", kind);
            let answer = Answer::of(request.body(route.valid.to_string())).await;
            answer.expect_problem(415, "unsupported_media_type");
        }
        let request = route.who.request(route.method.clone(), &route.path).header("Idempotency-Key", crate::new_key());
        Answer::of(request.body(route.valid.to_string())).await.expect_problem(415, "unsupported_media_type");
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_by_any_of_its_names_is_json() {
    let app = App::start().await;
    let rider = app.rider().await;
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
        let body = r#"{"pickup": {"lat": 1, "lon": 2}, "dropoff": {"lat": 1.01, "lon": 2}}"#;
        let request = rider.request(reqwest::Method::POST, "/v1/quotes").header("Content-Type", kind).body(body);
        Answer::of(request).await.expect(201);
    }
}
