//! The machine of an offer: one driver is asked for one trip and has fifteen seconds to answer. Pure.

use chrono::TimeDelta;

use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal};
use crate::platform::ids::{DriverId, OfferId, TripId};

/// How long a driver has to answer. Long enough to look and think at a red light, short enough for a rider who waits.
pub const OFFER_TTL: TimeDelta = TimeDelta::seconds(15);

/// How an offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The driver has not answered.
    Pending,
    /// Yes.
    Accepted,
    /// No.
    Declined,
    /// Nothing, for too long.
    Expired,
    /// Taken back: the rider cancelled, or the driver went offline.
    Withdrawn,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Accepted, Self::Declined, Self::Expired, Self::Withdrawn];

    /// The name in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Reads the name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// An offer. The migration describes each field.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Offer {
    pub id: OfferId,
    pub trip_id: TripId,
    pub driver_id: DriverId,
    pub status: Status,
    pub pickup_distance_m: i64,
    pub withdrawn_because: Option<String>,
    pub created_at: DomainTime,
    pub expires_at: DomainTime,
    pub decided_at: Option<DomainTime>,
    pub released_at: Option<DomainTime>,
}

/// What becomes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The driver says yes.
    Accept,
    /// The driver says no.
    Decline,
    /// Its time is up.
    Expire,
    /// It is taken back.
    Withdraw,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Accept, Self::Decline, Self::Expire, Self::Withdraw];
}

impl Offer {
    /// Decides the offer.
    ///
    /// # Errors
    /// 410 if it is too late by clock or by state, 409 for a contradiction.
    pub fn decide(&self, decision: Decision, now: DomainTime) -> Result<Self, Refusal> {
        let in_time = now < self.expires_at;
        let status = match (self.status, decision) {
            (Status::Pending, Decision::Accept) if in_time => Status::Accepted,
            (Status::Pending, Decision::Decline) if in_time => Status::Declined,
            (Status::Pending, Decision::Expire) if !in_time => Status::Expired,
            (Status::Pending, Decision::Withdraw) => Status::Withdrawn,
            (status, _) => return Err(self.refuse(status)),
        };
        Ok(Self { status, decided_at: Some(now), ..self.clone() })
    }

    fn refuse(&self, status: Status) -> Refusal {
        let (code, detail) = match status {
            Status::Pending | Status::Expired => {
                (Code::OfferExpired, format!("The offer expired at {}. Wait for the next one.", self.expires_at))
            }
            Status::Withdrawn => (Code::OfferWithdrawn, "The offer was withdrawn. Wait for the next one.".to_owned()),
            Status::Accepted => (Code::InvalidTransition, "The offer was accepted.".to_owned()),
            Status::Declined => (Code::InvalidTransition, "The offer was declined.".to_owned()),
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

    fn offer(status: Status) -> Offer {
        Offer {
            id: OfferId::from(Uuid::nil()),
            trip_id: TripId::from(Uuid::nil()),
            driver_id: DriverId::from(Uuid::nil()),
            status,
            pickup_distance_m: 100,
            withdrawn_because: None,
            created_at: at(0),
            expires_at: at(15),
            decided_at: (status != Status::Pending).then(|| at(1)),
            released_at: None,
        }
    }

    #[test]
    fn the_whole_grid_before_at_and_after_the_deadline() {
        let mut grid = String::new();
        for status in Status::ALL {
            for second in [14, 15, 16] {
                write!(grid, "{:<10} {second}s:", status.as_str()).expect("a string");
                for decision in Decision::ALL {
                    let end = match offer(status).decide(decision, at(second)) {
                        Ok(decided) => decided.status.as_str(),
                        Err(refusal) => refusal.code.meaning().name,
                    };
                    write!(grid, "  {decision:?} -> {end}").expect("a string");
                }
                grid.push('\n');
            }
        }
        insta::assert_snapshot!(grid);
    }

    #[test]
    fn a_decision_has_its_time_and_changes_nothing_else() {
        let decided = offer(Status::Pending).decide(Decision::Accept, at(14)).expect("in time");
        let pending = Offer { status: Status::Pending, decided_at: None, ..decided.clone() };
        assert_eq!((decided.decided_at, pending), (Some(at(14)), offer(Status::Pending)));
    }

    #[test]
    fn a_status_is_read_as_it_is_written_and_nothing_else_is() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::ALL.map(Status::as_str), ["pending", "accepted", "declined", "expired", "withdrawn"]);
        assert_eq!(Status::parse("lost"), None);
    }

    #[test]
    fn a_refusal_tells_a_late_answer_from_a_contradiction() {
        let refused = |status| offer(status).decide(Decision::Accept, at(20)).expect_err("refused");
        assert_eq!(refused(Status::Expired).detail, refused(Status::Pending).detail);
        assert_eq!(refused(Status::Withdrawn).more["state"], "withdrawn");
        assert_ne!(refused(Status::Accepted).detail, refused(Status::Declined).detail);
    }
}
