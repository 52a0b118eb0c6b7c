//! A driver that moves instantly, and sometimes declines, ignores or cancels.

use std::time::Duration;

use rand::RngExt;
use serde_json::{Value, json};

use super::actor::{Actor, Response};

/// Between two polls and positions of a driver.
const POLL_EVERY: Duration = Duration::from_millis(700);

/// Where all drivers wait.
const CURB: (f64, f64) = (40.7500, -73.9800);

/// Drives until no more trips are requested and the last one has ended.
pub(crate) async fn run(mut me: Actor) {
    let mut place = CURB;
    let mut is_online = false;
    loop {
        if !is_online {
            let vehicle = json!({"available": true, "name": "Tor", "class": "standard", "plate": "TOR 1"});
            is_online = me.put("/v1/drivers/me/availability", &vehicle).await.is_some_and(|put| put.is_success());
        }
        send_position(&mut me, place).await;
        let Some(profile) = me.get("/v1/drivers/me").await.filter(Response::is_success) else {
            me.wait(POLL_EVERY).await;
            if me.context.is_closed() {
                return;
            }
            continue;
        };
        let (offer, trip) = (profile.body["offer"].clone(), profile.body["trip"].clone());
        if offer.is_object() && !me.context.is_closing() {
            answer(&mut me, &offer).await;
        } else if trip.is_object() {
            place = drive(&mut me, &trip).await.unwrap_or(place);
        } else if me.context.is_closing() {
            return;
        }
        me.wait(POLL_EVERY).await;
    }
}

async fn send_position(me: &mut Actor, (lat, lon): (f64, f64)) {
    // Dated by the domain clock: the service drops positions that are older than 30 s of domain time.
    let Some(clock) = me.get("/v1/sandbox/clock").await else { return };
    let body = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": clock.body["domain"]});
    me.put("/v1/drivers/me/location", &body).await;
}

/// Accepts most offers, declines some, and lets the others expire.
async fn answer(me: &mut Actor, offer: &Value) {
    let id = offer["id"].as_str().unwrap_or_default();
    let verb = match me.random.random_range(0..100) {
        0..90 => "accept",
        90..96 => "decline",
        _ => return,
    };
    me.command(&format!("/v1/offers/{id}/{verb}"), &json!({})).await;
}

/// Takes the trip one step further. Returns where the car is then.
async fn drive(me: &mut Actor, trip: &Value) -> Option<(f64, f64)> {
    let id = trip["id"].as_str()?;
    let place = |of: &str| Some((trip[of]["lat"].as_f64()?, trip[of]["lon"].as_f64()?));
    let (pickup, dropoff) = (place("pickup")?, place("dropoff")?);
    let command = |verb: &str| format!("/v1/trips/{id}/{verb}");
    match trip["state"].as_str()? {
        "assigned" | "arrived" if me.random.random_ratio(1, 40) => {
            me.command(&command("cancel"), &json!({})).await;
            Some(pickup)
        }
        "assigned" => {
            send_position(me, pickup).await;
            me.command(&command("arrive"), &json!({})).await;
            Some(pickup)
        }
        "arrived" => {
            match me.context.pin(id) {
                // A wrong PIN now and then: it is counted, and has no effect under its key.
                Some(pin) if me.random.random_ratio(1, 30) => {
                    let wrong = if pin == "0000" { "0001" } else { "0000" };
                    me.command(&command("start"), &json!({ "pin": wrong })).await;
                }
                Some(pin) => {
                    me.command(&command("start"), &json!({ "pin": pin })).await;
                }
                // The rider does not show up. Refused until the waiting time is over.
                None => {
                    me.command(&command("no_show"), &json!({})).await;
                }
            }
            Some(pickup)
        }
        "in_progress" => {
            send_position(me, dropoff).await;
            me.command(&command("complete"), &json!({})).await;
            Some(dropoff)
        }
        _ => None,
    }
}
