//! `GET /v1/drivers/nearby`: riders see cars under handles that change, at coarse positions; operators see drivers.

use crate::harness::{Actor, App, HERE};
use serde_json::{Value, json};

/// The center of a grid cell, and a position in the cell, about 30 m from it.
const CELL: (f64, f64) = (40.7505, -73.9798);
const IN_CELL: (f64, f64) = (40.7507, -73.9796);

async fn nearby(viewer: &Actor, more: &str) -> Vec<Value> {
    let path = format!("/v1/drivers/nearby?lat={}&lon={}{more}", HERE.0, HERE.1);
    viewer.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rider_sees_a_coarse_car_and_no_driver() {
    let app = App::start().await;
    let (rider, other, ops) = (app.rider().await, app.rider().await, app.ops().await);
    let (driver, second) = (app.driver_at(IN_CELL).await, app.driver_at(IN_CELL).await);
    let exact = json!({"lat": IN_CELL.0, "lon": IN_CELL.1});

    let cars = nearby(&rider, "").await;
    assert_eq!(cars.len(), 2);
    for car in &cars {
        assert_eq!((&car["driver_id"], &car["position"]), (&Value::Null, &json!({"lat": CELL.0, "lon": CELL.1})));
        assert_eq!((&car["distance_m"], car["position_age_ms"].as_i64().unwrap() % 1_000), (&json!(58), 0));
    }
    let text = json!(cars).to_string();
    assert!(!text.contains(&driver.id) && !text.contains(&second.id), "{text}");

    let handles = |cars: &[Value]| cars.iter().map(|car| car["handle"].clone()).collect::<Vec<_>>();
    assert_ne!(handles(&cars), handles(&nearby(&other, "").await), "another caller sees other handles");
    // A time window may end between two searches, and then not before the third.
    let (again, later) = (nearby(&rider, "").await, nearby(&rider, "").await);
    assert!(handles(&again) == handles(&cars) || handles(&again) == handles(&later));

    let seen = nearby(&ops, "").await;
    assert!(seen.iter().any(|car| car["driver_id"] == driver.id.as_str() && car["position"] == exact), "{seen:#?}");
    let seen = nearby(&driver, "").await;
    let ids: Vec<_> = seen.iter().map(|car| (car["driver_id"].as_str(), car["position"] == exact)).collect();
    assert!(ids.contains(&(Some(driver.id.as_str()), true)) && ids.contains(&(None, false)), "{ids:?}");
    app.stop().await;
}

/// The radius counts to what is shown: otherwise a rider could find the exact distance by trying radii.
#[tokio::test(flavor = "multi_thread")]
async fn radius_does_not_reveal_the_exact_distance() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let _driver = app.driver_at(IN_CELL).await;
    // The driver is 85 m away, the center of the cell 58 m.
    for (radius_m, by_rider, by_ops) in [(57, 0, 0), (59, 1, 0), (84, 1, 0), (86, 1, 1)] {
        let radius = format!("&radius_m={radius_m}");
        let found = (nearby(&rider, &radius).await.len(), nearby(&ops, &radius).await.len());
        assert_eq!(found, (by_rider, by_ops), "{radius_m} m");
    }
    app.stop().await;
}
