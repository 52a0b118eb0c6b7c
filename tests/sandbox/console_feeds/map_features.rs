//! What a published map has beside its streets, and routes along them.

use super::{anonymous, streets};
use crate::harness::App;
use serde_json::{Value, json};

/// A map of one line, with everything.
fn map() -> Value {
    let mut map = streets(&json!([[[0.0, 0.0], [0.0, 0.001], [0.0, 0.002]]]));
    map["drives"] = json!([{"forward_ms": [1_000, 2_000], "backward_ms": [1_000, 2_000]}]);
    map["name"] = json!("Port Linden");
    map["roads"] = json!([{"class": "arterial", "name": "Grand Diagonal"}]);
    map["areas"] = json!([
        {"kind": "park", "ring": [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.0]]},
        {"kind": "water", "name": "River Arle", "ring": [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.1], [0.0, 0.0]]},
    ]);
    map
}

#[tokio::test]
async fn map_is_returned_as_published_without_the_drives() {
    let app = App::start().await;
    let client = anonymous(&app);
    client.put("/v1/sandbox/streets", &map()).await.expect(204);
    let answer = client.get("/v1/sandbox/streets").await;
    let tag = answer.header("etag").map(str::to_owned);
    let mut expected = map();
    expected.as_object_mut().unwrap().remove("drives");
    assert_eq!(answer.expect(200), expected);

    // Another name is another version; a map without features has none again.
    let mut renamed = map();
    renamed["areas"][0]["name"] = json!("Great Meadow");
    client.put("/v1/sandbox/streets", &renamed).await.expect(204);
    let answer = client.get("/v1/sandbox/streets").await;
    assert_ne!(answer.header("etag").map(str::to_owned), tag);
    assert_eq!(answer.expect(200)["areas"], renamed["areas"]);
    let plain = streets(&map()["coordinates"]);
    client.put("/v1/sandbox/streets", &plain).await.expect(204);
    assert_eq!(client.get("/v1/sandbox/streets").await.expect(200), plain);
}

#[tokio::test]
async fn invalid_features_are_422_with_a_pointer() {
    let app = App::start().await;
    let client = anonymous(&app);
    let long = "x".repeat(81);
    let triangle = json!([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]);
    let many: Vec<Value> = vec![map()["areas"][0].clone(); 501];
    for (pointer, member, value) in [
        ("/name", "/name", json!("")),
        ("/name", "/name", json!(long)),
        ("/name", "/name", json!("two\nlines")),
        ("/roads", "/roads", json!([])),
        ("/roads/0/class", "/roads/0/class", json!("path")),
        ("/roads/0/name", "/roads/0/name", json!("")),
        ("/roads/0/lanes", "/roads/0", json!({"class": "lane", "lanes": 2})),
        ("/areas", "/areas", json!(many)),
        ("/areas/1/kind", "/areas/1/kind", json!("forest")),
        ("/areas/1/name", "/areas/1/name", json!(long)),
        ("/areas/1/ring", "/areas/1/ring", triangle),
        ("/areas/1/ring", "/areas/1/ring/4", json!([0.0, 0.5])),
        ("/areas/1/ring/2/1", "/areas/1/ring/2", json!([0.0, 91.0])),
        ("/areas/1/ring/2/0", "/areas/1/ring/2", json!([181.0, 0.0])),
    ] {
        let mut body = map();
        *body.pointer_mut(member).unwrap() = value;
        let problem = client.put("/v1/sandbox/streets", &body).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    assert_eq!(client.get("/v1/sandbox/streets").await.expect(200), streets(&json!([])));
}

#[tokio::test]
async fn route_follows_the_published_streets() {
    let app = App::start().await;
    let client = anonymous(&app);
    let route =
        |to_lat: f64| format!("/v1/sandbox/route?from_lat=0.0001&from_lon=0.0001&to_lat={to_lat}&to_lon=0.0001");
    let straight = client.get(&route(0.0019)).await.expect(200);
    let ends = json!([[0.0001, 0.0001], [0.0001, 0.0019]]);
    assert_eq!(straight, json!({"type": "LineString", "coordinates": ends, "source": "estimate"}));

    client.put("/v1/sandbox/streets", &map()).await.expect(204);
    let along = client.get(&route(0.0019)).await.expect(200);
    assert_eq!(along["source"], "streets");
    let points = along["coordinates"].as_array().unwrap();
    assert!(points.contains(&json!([0.0, 0.001])) && points.contains(&json!([0.0, 0.002])), "{along:#}");
    assert_eq!((points.first(), points.last()), (ends.get(0), ends.get(1)));

    let problem = client.get(&route(90.5)).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "to_lat", "{problem:#}");
}
