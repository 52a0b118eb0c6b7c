#![allow(clippy::unwrap_used, reason = "tests")]

use futures_util::stream;
use serde_json::{Value, json};

use super::*;
use crate::behavior::Behavior;
use crate::model::{Class, Vehicle};
use crate::run_context::tests::offline;

const HOME: Position = Position { lat: 40.7, lon: -74.0 };

fn frame(data: &Value) -> Frame {
    Frame { event: data["type"].as_str().unwrap().into(), data: data.to_string(), last_id: None }
}

/// Runs an idle driver who gets a hint to a place 1,000 m away, 144 s by car, and after 300 s an offer.
async fn driver_with_a_hint(reposition: f64) -> Driver {
    let context = Arc::new(offline(Behavior { reposition, ..Behavior::default() }));
    let (driver, plate) = ("Driver".to_owned(), "A 1".to_owned());
    let vehicle = Vehicle { name: "v".into(), driver, plate, class: Class::Standard, starts_at: HOME };
    let hint = json!({"type": "hint.created", "position": HOME.offset(1_000.0, 0.0)});
    let offer = json!({"type": "offer.created", "offer": {"id": "o", "trip_id": "t"}});
    let later = {
        let context = context.clone();
        async move {
            context.clock.sleep_until(context.clock.now() + chrono::TimeDelta::seconds(300)).await;
            frame(&offer)
        }
    };
    let events = stream::iter([frame(&hint)]).chain(stream::once(later)).chain(stream::pending()).boxed();
    let identity = Arc::new(Identity::new(context, vehicle));
    let (random, hints) = (seeded_random(1, "v"), seeded_random(1, "v/hints"));
    let mut driver = Driver { identity, events, random, hints, trip_to_hint: false };
    assert!(matches!(driver.next_task().await, Task::Offer(Offer { id, .. }) if id == "o"));
    driver
}

#[tokio::test]
async fn driver_who_follows_a_hint_waits_at_its_place() {
    let driver = driver_with_a_hint(1.0).await;
    let place = driver.identity.car.position(driver.now());
    assert!(place.meters_to(HOME.offset(1_000.0, 0.0)) < 1.0);
    let counts = driver.identity.context.statistics.counts();
    assert!((counts.repositioned_m - 1_000.0).abs() < 2.0 && (counts.deadhead_m - 1_000.0).abs() < 2.0);
    assert_eq!(counts.hints_followed, 1);
}

#[tokio::test]
async fn driver_who_ignores_a_hint_stays() {
    let driver = driver_with_a_hint(0.0).await;
    assert!(driver.identity.car.position(driver.now()).meters_to(HOME) < 0.01);
    let counts = driver.identity.context.statistics.counts();
    assert!(counts.deadhead_m < 0.01 && counts.hints_followed == 0);
}

#[test]
fn hint_counts_until_it_expires() {
    let now: DateTime<Utc> = "2030-01-01T00:00:00Z".parse().unwrap();
    let hint = |expires_at: &str| {
        let place = json!({"lat": 40.7, "lon": -74.0});
        json!({"type": "hint.created", "id": "h", "cell": "c", "position": place, "expires_at": expires_at})
    };
    let meaning = |event| meaning_of(serde_json::from_value(event).unwrap(), now);
    assert!(matches!(meaning(hint("2030-01-01T00:00:01Z")), Meaning::Hint(Position { lat, .. }) if lat > 40.6));
    assert!(matches!(meaning(hint("2030-01-01T00:00:00Z")), Meaning::Nothing));
    assert!(matches!(meaning(json!({"type": "hint.created"})), Meaning::Nothing), "no place");
    let offer = json!({"type": "offer.created", "offer": {"id": "o", "trip_id": "t"}});
    assert!(matches!(meaning(offer), Meaning::Task(Task::Offer(_))));
}
