//! The state machine of an offer: one driver has 15 s to accept or decline one trip. Pure.

use chrono::TimeDelta;

use crate::geo::EtaSource;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal};
use crate::platform::ids::{DriverId, OfferId, TripId};
use crate::platform::names::string_enum;

/// The time to answer an offer. 15 s: long enough to look at a phone on a dashboard, short enough that the rider does not wait
/// for several drivers who do not look.
pub const OFFER_TTL: TimeDelta = TimeDelta::seconds(15);

string_enum! {
    /// The status of an offer.
    pub enum OfferStatus {
        /// The driver has not answered.
        Pending = "pending",
        /// The driver accepted.
        Accepted = "accepted",
        /// The driver declined.
        Declined = "declined",
        /// The driver did not answer in time.
        Expired = "expired",
        /// The rider cancelled, or the driver went offline.
        Withdrawn = "withdrawn",
    }
}

/// An offer. The migration describes each field.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Offer {
    pub id: OfferId,
    pub trip_id: TripId,
    pub driver_id: DriverId,
    pub status: OfferStatus,
    pub pickup_distance_m: i64,
    pub pickup_eta_s: i64,
    pub eta_source: EtaSource,
    pub withdrawn_because: Option<String>,
    pub created_at: DomainTime,
    pub expires_at: DomainTime,
    pub decided_at: Option<DomainTime>,
    pub released_at: Option<DomainTime>,
}

/// A decision on an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The driver accepts.
    Accept,
    /// The driver declines.
    Decline,
    /// Its deadline passes.
    Expire,
    /// The service withdraws it.
    Withdraw,
}

impl Decision {
    /// All decisions.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Decline, Self::Expire, Self::Withdraw];
}

impl Offer {
    /// Applies a decision.
    ///
    /// # Errors
    /// 410 if the offer has expired or was withdrawn; 409 if it was accepted or declined before.
    pub fn decide(&self, decision: Decision, now: DomainTime) -> Result<Self, Refusal> {
        let in_time = now < self.expires_at;
        let status = match (self.status, decision) {
            (OfferStatus::Pending, Decision::Accept) if in_time => OfferStatus::Accepted,
            (OfferStatus::Pending, Decision::Decline) if in_time => OfferStatus::Declined,
            (OfferStatus::Pending, Decision::Expire) if !in_time => OfferStatus::Expired,
            (OfferStatus::Pending, Decision::Withdraw) => OfferStatus::Withdrawn,
            (status, _) => return Err(self.refuse(status)),
        };
        Ok(Self { status, decided_at: Some(now), ..self.clone() })
    }

    fn refuse(&self, status: OfferStatus) -> Refusal {
        let (code, detail) = match status {
            OfferStatus::Pending | OfferStatus::Expired => {
                (Code::OfferExpired, format!("The offer expired at {}. Wait for the next one.", self.expires_at))
            }
            OfferStatus::Withdrawn => {
                (Code::OfferWithdrawn, "The offer was withdrawn. Wait for the next one.".to_owned())
            }
            OfferStatus::Accepted | OfferStatus::Declined => {
                (Code::InvalidTransition, format!("Cannot change the decision: the offer was {status}."))
            }
        };
        Refusal::new(code, detail).with("state", status.as_str()).with("allowed", Vec::<String>::new())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn at(second: i64) -> DomainTime {
        DomainTime::new(DateTime::from_timestamp(second, 0).expect("in range"))
    }

    fn offer(status: OfferStatus) -> Offer {
        Offer {
            id: OfferId::from(Uuid::nil()),
            trip_id: TripId::from(Uuid::nil()),
            driver_id: DriverId::from(Uuid::nil()),
            status,
            pickup_distance_m: 100,
            pickup_eta_s: 20,
            eta_source: EtaSource::Estimate,
            withdrawn_because: None,
            created_at: at(0),
            expires_at: at(15),
            decided_at: (status != OfferStatus::Pending).then(|| at(1)),
            released_at: None,
        }
    }

    #[test]
    fn grid_before_at_and_after_the_deadline() {
        let mut grid = String::new();
        for status in OfferStatus::ALL {
            for second in [14, 15, 16] {
                write!(grid, "{status:<10} {second}s:").expect("a string");
                for decision in Decision::ALL {
                    let end = match offer(status).decide(decision, at(second)) {
                        Ok(decided) => decided.status.as_str(),
                        Err(refusal) => refusal.code.problem_type().name,
                    };
                    write!(grid, "  {decision:?} -> {end}").expect("a string");
                }
                grid.push('\n');
            }
        }
        insta::assert_snapshot!(grid);
    }

    #[test]
    fn decision_sets_status_and_time_only() {
        let decided = offer(OfferStatus::Pending).decide(Decision::Accept, at(14)).expect("in time");
        let pending = Offer { status: OfferStatus::Pending, decided_at: None, ..decided.clone() };
        assert_eq!((decided.decided_at, pending), (Some(at(14)), offer(OfferStatus::Pending)));
    }

    #[test]
    fn late_decision_and_second_decision_are_refused_differently() {
        let refused = |status| offer(status).decide(Decision::Accept, at(20)).expect_err("refused");
        assert_eq!(refused(OfferStatus::Expired).detail, refused(OfferStatus::Pending).detail);
        assert_eq!(refused(OfferStatus::Withdrawn).more["state"], "withdrawn");
        assert_ne!(refused(OfferStatus::Accepted).detail, refused(OfferStatus::Declined).detail);
    }
}
