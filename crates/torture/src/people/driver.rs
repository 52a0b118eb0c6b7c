//! A driver who goes where he is sent at once, and sometimes does not.

use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use super::person::Person;

/// How often a driver looks at the telephone, and says where he is.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// Where those stand who wait: somewhere near each other.
const KERB: (f64, f64) = (40.7500, -73.9800);

/// Drives until the town closes and the last ride is over.
pub(crate) async fn live(mut me: Person) {
    let mut place = KERB;
    let mut is_online = false;
    loop {
        if !is_online {
            let vehicle = json!({"available": true, "name": "Tor", "class": "standard", "plate": "TOR 1"});
            is_online = me.put("/v1/drivers/me/availability", &vehicle).await.is_some_and(|answer| answer.is_success());
        }
        say_where(&mut me, place).await;
        let Some(profile) = me.get("/v1/drivers/me").await.filter(super::person::Answer::is_success) else {
            me.wait(LOOK_EVERY).await;
            if me.town.is_closed() {
                return;
            }
            continue;
        };
        let (offer, trip) = (profile.body["offer"].clone(), profile.body["trip"].clone());
        if offer.is_object() && !me.town.is_closing() {
            answer(&mut me, &offer).await;
        } else if trip.is_object() {
            place = drive(&mut me, &trip).await.unwrap_or(place);
        } else if me.town.is_closing() {
            return;
        }
        me.wait(LOOK_EVERY).await;
    }
}

async fn say_where(me: &mut Person, (lat, lon): (f64, f64)) {
    // Dated by the service's own clock: what is older than 30 s of domain time is no place to send anybody from.
    let Some(clock) = me.get("/v1/sandbox/clock").await else { return };
    let body = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": clock.body["domain"]});
    me.put("/v1/drivers/me/location", &body).await;
}

/// Accepts most offers, declines some, and leaves the others to expire.
async fn answer(me: &mut Person, offer: &Value) {
    let id = offer["id"].as_str().unwrap_or_default();
    let verb = match me.dice.random_range(0..100) {
        0..90 => "accept",
        90..96 => "decline",
        _ => return,
    };
    me.command(&format!("/v1/offers/{id}/{verb}"), &json!({})).await;
}

/// Takes the ride one step further; where the car is then.
async fn drive(me: &mut Person, trip: &Value) -> Option<(f64, f64)> {
    let id = trip["id"].as_str()?;
    let place = |of: &str| Some((trip[of]["lat"].as_f64()?, trip[of]["lon"].as_f64()?));
    let (pickup, dropoff) = (place("pickup")?, place("dropoff")?);
    let command = |verb: &str| format!("/v1/trips/{id}/{verb}");
    match trip["state"].as_str()? {
        "assigned" | "arrived" if me.dice.random_ratio(1, 40) => {
            me.command(&command("cancel"), &json!({})).await;
            Some(pickup)
        }
        "assigned" => {
            say_where(me, pickup).await;
            me.command(&command("arrive"), &json!({})).await;
            Some(pickup)
        }
        "arrived" => {
            match me.town.pin(id) {
                // A wrong PIN first, now and then: it is counted, and is no key's effect.
                Some(pin) if me.dice.random_ratio(1, 30) => {
                    let wrong = if pin == "0000" { "0001" } else { "0000" };
                    me.command(&command("start"), &json!({ "pin": wrong })).await;
                }
                Some(pin) => {
                    me.command(&command("start"), &json!({ "pin": pin })).await;
                }
                // Nobody there. It is refused until the waiting time is over.
                None => {
                    me.command(&command("no_show"), &json!({})).await;
                }
            }
            Some(pickup)
        }
        "in_progress" => {
            say_where(me, dropoff).await;
            me.command(&command("complete"), &json!({})).await;
            Some(dropoff)
        }
        _ => None,
    }
}
