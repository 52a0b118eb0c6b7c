//! Invalid bodies of any operation.

use serde_json::{Value, json};

use super::{ApiResponse, World, assert_names, pointers, replaced, without};
use crate::harness::{App, new_key};

/// Larger than the limit.
const TWO_MEGABYTES: usize = 2 << 20;

fn in_the_first_string(text: &str, what: &[u8]) -> Vec<u8> {
    let (before, after) = text.split_at(text.find('"').unwrap() + 1);
    [before.as_bytes(), what, after.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_json_is_400() {
    let world = World::new().await;
    for route in &world.routes {
        let valid = route.valid.to_string();
        let broken: [(&str, Vec<u8>); 14] = [
            ("empty", Vec::new()),
            ("blanks", b" \r\n\t".to_vec()),
            ("plain text", b"hello".to_vec()),
            ("a form", b"pickup=here&dropoff=there".to_vec()),
            ("the first half", valid.as_bytes()[..valid.len() / 2].to_vec()),
            ("all but the end", valid.as_bytes()[..valid.len() - 1].to_vec()),
            ("trailing characters", format!("{valid} {valid}").into_bytes()),
            ("a trailing comma", format!("{},}}", &valid[..valid.len() - 1]).into_bytes()),
            ("single quotes", valid.replace('"', "'").into_bytes()),
            ("a comment", format!("/* */ {valid}").into_bytes()),
            ("a byte order mark", [b"\xef\xbb\xbf", valid.as_bytes()].concat()),
            ("UTF-16", valid.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("invalid UTF-8", in_the_first_string(&valid, b"\xff\xfe")),
            ("half a surrogate pair", in_the_first_string(&valid, b"\\ud83d")),
        ];
        for (what, body) in broken {
            let no_fields_needed =
                body.is_empty() && (route.path.ends_with("/abort") || route.path.ends_with("/refunds"));
            if no_fields_needed {
                continue; // an empty body is valid there
            }
            let response = route.send(body).await;
            assert!(response.status == 400, "{} with {what}: {:#}", route.name(), response.json());
            response.expect_problem(400, "malformed");
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_the_wrong_shape_is_422() {
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
            let response = route.send(other.to_string()).await;
            assert!(response.status == 422, "{} with {other}: {:#}", route.name(), response.json());
            response.expect_problem(422, "invalid_request");
        }
        // Deep nesting must not overflow the stack.
        for nested in
            ["[".repeat(1_000_000), "{\"pickup\":".repeat(100_000), format!("[{}", "[".repeat(200) + &"]".repeat(201))]
        {
            let response = route.send(nested).await;
            assert!(response.status == 400 || response.status == 422, "{}: {:#}", route.name(), response.json());
            let code = response.code();
            response.expect_problem(if code == "malformed" { 400 } else { 422 }, &code);
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_unknown_or_mistyped_field_is_422_by_name() {
    let world = World::new().await;
    for route in &world.routes {
        for pointer in route.required {
            let response = route.send(without(&route.valid, pointer).to_string()).await;
            assert_names(response, 422, "invalid_request", pointer, &route.name());
        }
        let all = pointers(&route.valid);
        let inner = all.iter().filter(|pointer| route.valid.pointer(pointer).unwrap().is_object());
        let top = String::new();
        for object in inner.chain(route.valid.is_object().then_some(&top)) {
            let mut body = route.valid.clone();
            body.pointer_mut(object).unwrap()["surprise"] = json!({"deep": [1, 2, 3]});
            let response = route.send(body.to_string()).await;
            assert_names(response, 422, "invalid_request", &format!("{object}/surprise"), &route.name());
        }
        for pointer in &all {
            let other = match route.valid.pointer(pointer).unwrap() {
                Value::Object(_) | Value::Array(_) => json!("text"),
                _ => json!({"an": ["object"]}),
            };
            let response = route.send(replaced(&route.valid, pointer, other).to_string()).await;
            assert_names(response, 422, "invalid_request", pointer, &route.name());
        }
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_field_is_422_by_name() {
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
async fn body_of_two_megabytes_is_413_on_every_route() {
    let world = World::new().await;
    for route in &world.routes {
        // With `Content-Length`, and chunked.
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
async fn body_with_wrong_content_type_is_415() {
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
            let request = route.actor.request(route.method.clone(), &route.path);
            let kind = reqwest::header::HeaderValue::from_bytes(kind.as_bytes()).unwrap();
            let request = request.header("Idempotency-Key", new_key()).header("Content-Type", kind);
            let response = ApiResponse::of(request.body(route.valid.to_string())).await;
            response.expect_problem(415, "unsupported_media_type");
        }
        let request = route.actor.request(route.method.clone(), &route.path).header("Idempotency-Key", new_key());
        ApiResponse::of(request.body(route.valid.to_string())).await.expect_problem(415, "unsupported_media_type");
    }
    world.assert_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_content_type_variants_are_accepted() {
    let app = App::start().await;
    let rider = app.rider().await;
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
        let body = r#"{"pickup": {"lat": 1, "lon": 2}, "dropoff": {"lat": 1.01, "lon": 2}}"#;
        let request = rider.request(reqwest::Method::POST, "/v1/quotes").header("Content-Type", kind).body(body);
        ApiResponse::of(request).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn body_with_a_content_coding_is_415() {
    let world = World::new().await;
    for route in &world.routes {
        for coding in ["gzip", "br", "GZIP, identity", "nonsense", "\u{e9}"] {
            let coding = reqwest::header::HeaderValue::from_bytes(coding.as_bytes()).unwrap();
            let request = route.request().header("Content-Encoding", coding).body(vec![0x1f, 0x8b, 8, 0]);
            let response = ApiResponse::of(request).await;
            assert_eq!(response.header("accept-encoding"), Some("identity"));
            assert_names(response, 415, "unsupported_encoding", "Content-Encoding", &route.name());
        }
        let response = ApiResponse::of(route.request().body("{")).await;
        assert_eq!(response.header("accept-encoding"), None, "only where the coding is at fault");
    }
    let (rider, quote) =
        (world.app.rider().await, r#"{"pickup": {"lat": 1, "lon": 2}, "dropoff": {"lat": 1.01, "lon": 2}}"#);
    let request = rider.request(reqwest::Method::POST, "/v1/quotes").header("Content-Type", "application/json");
    ApiResponse::of(request.header("Content-Encoding", "identity").body(quote)).await.expect(201);
    world.assert_unharmed().await;
}
