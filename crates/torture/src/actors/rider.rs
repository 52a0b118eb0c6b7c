//! A rider that uses declining cards, cancels at any time, tips, and sometimes does not show up.

use std::time::Duration;

use rand::RngExt;
use serde_json::json;

use super::actor::{Actor, Response};

/// Between two polls of a trip.
const POLL_EVERY: Duration = Duration::from_millis(400);

/// Between two trips.
const PAUSE: Duration = Duration::from_millis(1_500);

/// Polls of a trip before its rider stops.
const POLLS_MAX: u32 = 600;

/// Payment methods with their shares, in percent.
const CARDS: [(&str, u32); 5] = [
    ("pm_card_visa", 86),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", 5),
    ("pm_card_chargeDeclined", 3),
    ("pm_sim_error_500", 3),
    ("pm_sim_error_500_after", 3),
];

/// Whether the card's bank declines everything, by the card's name.
pub(crate) fn declines(card: &str) -> bool {
    card.contains("chargeDeclined")
}

/// Takes trips until no more are requested.
pub(crate) async fn run(mut me: Actor) {
    while !me.context.is_closing() {
        if let Some(trip) = request(&mut me).await {
            ride(&mut me, &trip).await;
        }
        me.wait(PAUSE).await;
    }
}

async fn request(me: &mut Actor) -> Option<Response> {
    let mut near = |place: f64| place + me.random.random_range(-0.005..0.005);
    let quote = json!({
        "pickup": {"lat": near(40.7500), "lon": near(-73.9800)},
        "dropoff": {"lat": near(40.7650), "lon": near(-73.9650)},
    });
    let quote = me.post_unkeyed("/v1/quotes", &quote).await.filter(Response::is_success)?;
    let body = json!({"quote_id": quote.text("id"), "payment_method": card(me)});
    me.command("/v1/trips", &body).await.filter(Response::is_success)
}

fn card(me: &mut Actor) -> &'static str {
    let mut draw = me.random.random_range(0..CARDS.iter().map(|(_, share)| share).sum());
    for (card, share) in CARDS {
        match draw.checked_sub(share) {
            Some(rest) => draw = rest,
            None => return card,
        }
    }
    CARDS[0].0
}

/// Follows a trip to its end.
async fn ride(me: &mut Actor, trip: &Response) {
    let id = trip.text("id").to_owned();
    let shows_up = !me.random.random_ratio(1, 20);
    let pin = trip.body["pin"].as_str().map(str::to_owned);
    me.context.add_trip(&id, pin.filter(|_| shows_up));
    // A tenth cancel, in any state of the trip.
    let mut polls_until_cancel = if me.random.random_ratio(1, 10) { me.random.random_range(0..25) } else { POLLS_MAX };
    for _ in 0..POLLS_MAX {
        if polls_until_cancel == 0 {
            me.command(&format!("/v1/trips/{id}/cancel"), &json!({})).await;
        }
        polls_until_cancel = polls_until_cancel.saturating_sub(1);
        let now = me.get(&format!("/v1/trips/{id}")).await.filter(Response::is_success);
        if let Some(now) = &now
            && now.body["ended_at"].is_string()
        {
            me.context.end_trip(&id, now.text("payment_id"), now.body["fare"]["amount"].as_i64().unwrap_or(0));
            after_trip(me, &id, now.text("state")).await;
            return;
        }
        if me.context.is_closed() {
            return;
        }
        me.wait(POLL_EVERY).await;
    }
}

/// Sometimes tips, and gets the receipt.
async fn after_trip(me: &mut Actor, id: &str, state: &str) {
    if state == "completed" && me.random.random_ratio(1, 5) {
        let amount = me.random.random_range(50..500);
        let body = json!({"amount": {"amount": amount, "currency": "USD"}});
        me.command(&format!("/v1/trips/{id}/tip"), &body).await;
    }
    me.get(&format!("/v1/trips/{id}/receipt")).await;
}
