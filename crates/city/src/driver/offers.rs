//! How a driver responds to an offer.

use serde::de::IgnoredAny;

use crate::behavior::{OfferDecision, random_duration};
use crate::statistics::{Offers, ReceivedOffer};
use crate::web::api::{Accepted, DriverEvent, EmptyBody, Offer, Trip};
use crate::web::{Call, CallError};

use super::{Driver, Identity};

/// Why an offer could not be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfferLoss {
    /// It expired on the way to the driver or back.
    Expired,
    /// It was withdrawn, or another driver has the trip.
    Gone,
}

impl OfferLoss {
    fn count(self, offers: &mut Offers) {
        match self {
            Self::Expired => offers.expired_in_transit += 1,
            Self::Gone => offers.lost += 1,
        }
    }
}

impl Driver {
    /// Accepts, declines or ignores an offer after a while. Returns the trip if the driver gets it.
    pub(super) async fn respond_to(&mut self, offer: &Offer) -> Option<Trip> {
        let context = self.identity.context.clone();
        context.statistics.count(|counts| counts.offers.received += 1);
        context.statistics.log_offer(|| ReceivedOffer {
            trip_id: offer.trip_id.clone(),
            driver: self.identity.vehicle.name.clone(),
            at: self.now(),
        });
        let decision = context.behavior.decide(&mut self.random);
        let decided_at = self.now() + random_duration(&context.behavior.decides_after_s, &mut self.random);
        while let Some(event) = self.event_before(Some(decided_at)).await {
            if let Some(loss) = loss_of(offer, &event) {
                if decision == OfferDecision::Accept {
                    context.statistics.count(|counts| loss.count(&mut counts.offers));
                }
                return None;
            }
        }
        match decision {
            OfferDecision::Accept => return accept(&self.identity, offer).await,
            OfferDecision::Decline => decline(&self.identity, offer).await,
            OfferDecision::Ignore => context.statistics.count(|counts| counts.offers.ignored += 1),
        }
        None
    }
}

async fn decline(driver: &Identity, offer: &Offer) {
    let key = driver.key("decline", &offer.id);
    let call = Call::command(format!("/v1/offers/{}/decline", offer.id), key, &EmptyBody {});
    match driver.client().call::<IgnoredAny>(&driver.session, &call).await {
        Ok(_) => driver.context.statistics.count(|counts| counts.offers.declined += 1),
        // The offer has ended already.
        Err(CallError::Rejected { .. }) => {}
        Err(error) => driver.log_failure("cannot decline", &error),
    }
}

async fn accept(driver: &Identity, offer: &Offer) -> Option<Trip> {
    let key = driver.key("accept", &offer.id);
    let call = Call::command(format!("/v1/offers/{}/accept", offer.id), key, &EmptyBody {});
    let statistics = &driver.context.statistics;
    let error = match driver.client().call::<Accepted>(&driver.session, &call).await {
        Ok(Accepted { trip }) => {
            statistics.count(|counts| counts.offers.accepted += 1);
            return Some(trip);
        }
        Err(error) => error,
    };
    let loss = match error.code() {
        "offer_expired" => OfferLoss::Expired,
        "offer_withdrawn" | "offer_taken" => OfferLoss::Gone,
        _ => {
            driver.log_failure("cannot accept", &error);
            return driver.current_trip().await;
        }
    };
    statistics.count(|counts| loss.count(&mut counts.offers));
    None
}

/// Whether the event ends this offer.
fn loss_of(offer: &Offer, event: &DriverEvent) -> Option<OfferLoss> {
    let is_about_it = match &event.offer {
        Some(other) => other.id == offer.id,
        None => event.trip_id.as_ref() == Some(&offer.trip_id),
    };
    match event.kind.as_str() {
        "offer.expired" if is_about_it => Some(OfferLoss::Expired),
        "offer.withdrawn" if is_about_it => Some(OfferLoss::Gone),
        _ => None,
    }
}
