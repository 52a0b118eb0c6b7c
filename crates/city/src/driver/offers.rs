//! What a driver makes of an offer.

use serde::de::IgnoredAny;

use crate::habits::{Mind, within};
use crate::tally::Offers;
use crate::web::api::{Accepted, DriverNews, Nothing, Offer, Trip};
use crate::web::{Call, Failure};

use super::{Driver, Identity};

/// How an offer that was meant to be accepted was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Its time ran out on the way to the driver or back.
    Expired,
    /// Withdrawn, or another driver has the trip.
    Gone,
}

impl Lost {
    fn count(self, offers: &mut Offers) {
        match self {
            Self::Expired => offers.expired_in_transit += 1,
            Self::Gone => offers.lost += 1,
        }
    }
}

impl Driver {
    /// Thinks about an offer, and takes it, declines it, or lets it be. Returns the trip once it is this driver's.
    pub(super) async fn consider(&mut self, offer: &Offer) -> Option<Trip> {
        let world = self.me.world.clone();
        world.tally.count(|counts| counts.offers.received += 1);
        let mind = world.habits.mind(&mut self.dice);
        let decided_at = self.now() + within(&world.habits.thinks_s, &mut self.dice);
        while let Some(news) = self.news_before(Some(decided_at)).await {
            if let Some(lost) = end_of(offer, &news) {
                if mind == Mind::Accept {
                    world.tally.count(|counts| lost.count(&mut counts.offers));
                }
                return None;
            }
        }
        match mind {
            Mind::Accept => return accept(&self.me, offer).await,
            Mind::Decline => decline(&self.me, offer).await,
            Mind::Ignore => world.tally.count(|counts| counts.offers.ignored += 1),
        }
        None
    }
}

async fn decline(me: &Identity, offer: &Offer) {
    let key = me.key("decline", &offer.id);
    let call = Call::command(format!("/v1/offers/{}/decline", offer.id), key, &Nothing {});
    match me.client().call::<IgnoredAny>(&me.session, &call).await {
        Ok(_) => me.world.tally.count(|counts| counts.offers.declined += 1),
        // Gone before it could be declined: nothing is lost by that.
        Err(Failure::Refused { .. }) => {}
        Err(failure) => me.note("can't decline", &failure),
    }
}

async fn accept(me: &Identity, offer: &Offer) -> Option<Trip> {
    let key = me.key("accept", &offer.id);
    let call = Call::command(format!("/v1/offers/{}/accept", offer.id), key, &Nothing {});
    let tally = &me.world.tally;
    let failure = match me.client().call::<Accepted>(&me.session, &call).await {
        Ok(Accepted { trip }) => {
            tally.count(|counts| counts.offers.accepted += 1);
            return Some(trip);
        }
        Err(failure) => failure,
    };
    let lost = match failure.code() {
        "offer_expired" => Lost::Expired,
        "offer_withdrawn" | "offer_taken" => Lost::Gone,
        _ => {
            me.note("can't accept", &failure);
            return me.current_trip().await;
        }
    };
    tally.count(|counts| lost.count(&mut counts.offers));
    None
}

/// Whether the news is that this offer is no more.
fn end_of(offer: &Offer, news: &DriverNews) -> Option<Lost> {
    let about_it = match &news.offer {
        Some(named) => named.id == offer.id,
        None => news.trip_id.as_ref() == Some(&offer.trip_id),
    };
    match news.kind.as_str() {
        "offer.expired" if about_it => Some(Lost::Expired),
        "offer.withdrawn" if about_it => Some(Lost::Gone),
        _ => None,
    }
}
