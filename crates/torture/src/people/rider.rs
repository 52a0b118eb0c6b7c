//! A rider with habits: cards that decline, minds that change, and no patience.

use std::time::Duration;

use rand::RngExt;
use serde_json::json;

use super::person::{Answer, Person};

/// How often a rider looks.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Pause between two rides.
const REST: Duration = Duration::from_millis(1_500);

/// A look at a trip that does not end is given up after this many; the trip goes on without its rider.
const LOOKS_MAX: u32 = 600;

/// How a rider pays: mostly with a card that works.
const CARDS: [(&str, u32); 5] = [
    ("pm_card_visa", 86),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", 5),
    ("pm_card_chargeDeclined", 3),
    ("pm_sim_500", 3),
    ("pm_sim_500_after", 3),
];

/// Whether a card's bank refuses everything, ours and the city's alike: that is in its name.
pub(crate) fn declines(card: &str) -> bool {
    card.contains("chargeDeclined")
}

/// Rides until the town closes.
pub(crate) async fn live(mut me: Person) {
    while !me.town.is_closing() {
        if let Some(trip) = request(&mut me).await {
            ride(&mut me, &trip).await;
        }
        me.wait(REST).await;
    }
}

async fn request(me: &mut Person) -> Option<Answer> {
    let mut near = |place: f64| place + me.dice.random_range(-0.005..0.005);
    let quote = json!({
        "pickup": {"lat": near(40.7500), "lon": near(-73.9800)},
        "dropoff": {"lat": near(40.7650), "lon": near(-73.9650)},
    });
    let quote = me.post_unkeyed("/v1/quotes", &quote).await.filter(Answer::is_success)?;
    let body = json!({"quote_id": quote.text("id"), "payment_method": card(me)});
    me.command("/v1/trips", &body).await.filter(Answer::is_success)
}

fn card(me: &mut Person) -> &'static str {
    let mut luck = me.dice.random_range(0..CARDS.iter().map(|(_, share)| share).sum());
    for (card, share) in CARDS {
        match luck.checked_sub(share) {
            Some(rest) => luck = rest,
            None => return card,
        }
    }
    CARDS[0].0
}

/// Follows a trip to its end.
async fn ride(me: &mut Person, trip: &Answer) {
    let id = trip.text("id").to_owned();
    let comes = !me.dice.random_ratio(1, 20);
    let pin = trip.body["pin"].as_str().map(str::to_owned);
    me.town.begins(&id, pin.filter(|_| comes));
    // A tenth change their minds, at any moment of the ride.
    let mut looks_until_cancel = if me.dice.random_ratio(1, 10) { me.dice.random_range(0..25) } else { LOOKS_MAX };
    for _ in 0..LOOKS_MAX {
        if looks_until_cancel == 0 {
            me.command(&format!("/v1/trips/{id}/cancel"), &json!({})).await;
        }
        looks_until_cancel = looks_until_cancel.saturating_sub(1);
        let now = me.get(&format!("/v1/trips/{id}")).await.filter(Answer::is_success);
        if let Some(now) = &now
            && now.body["ended_at"].is_string()
        {
            me.town.ends(&id, now.text("payment_id"), now.body["fare"]["amount"].as_i64().unwrap_or(0));
            after(me, &id, now.text("state")).await;
            return;
        }
        if me.town.is_closed() {
            return;
        }
        me.wait(LOOK_EVERY).await;
    }
}

/// What a rider does when the ride is over: looks at the receipt, and sometimes tips.
async fn after(me: &mut Person, id: &str, state: &str) {
    if state == "completed" && me.dice.random_ratio(1, 5) {
        let amount = me.dice.random_range(50..500);
        let body = json!({"amount": {"amount": amount, "currency": "USD"}});
        me.command(&format!("/v1/trips/{id}/tip"), &body).await;
    }
    me.get(&format!("/v1/trips/{id}/receipt")).await;
}
