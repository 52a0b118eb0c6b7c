//! The JSON of the service, with the fields that riders and drivers use.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::model::Class;
use crate::position::Position;

/// The state of a trip. A state that this client does not know is [`TripState::Unknown`], which is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TripState {
    Requested,
    Searching,
    Offered,
    Assigned,
    Arrived,
    InProgress,
    Completed,
    Cancelled,
    NoShow,
    NoDriver,
    PaymentFailed,
    Aborted,
    #[serde(other)]
    Unknown,
}

impl TripState {
    /// Whether the trip has ended.
    pub fn is_over(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::NoShow | Self::NoDriver | Self::PaymentFailed | Self::Aborted => {
                true
            }
            Self::Requested | Self::Searching | Self::Offered | Self::Assigned | Self::Arrived | Self::InProgress => {
                false
            }
            Self::Unknown => false,
        }
    }
}

/// Whether this crate treats a trip in this state as ended. A test of the service compares it with the service's states.
pub fn is_trip_over(state: &str) -> bool {
    serde_json::from_value::<TripState>(state.into()).is_ok_and(TripState::is_over)
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Trip {
    pub id: String,
    pub state: TripState,
    pub rider_id: String,
    pub pickup: Position,
    pub dropoff: Position,
    /// Visible only to the rider.
    pub pin: Option<String>,
    pub requested_at: DateTime<Utc>,
    pub assigned_at: Option<DateTime<Utc>>,
    pub arrived_at: Option<DateTime<Utc>>,
}

/// An event of a trip.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TripEvent {
    pub to: TripState,
    pub at: DateTime<Utc>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offer {
    pub id: String,
    pub trip_id: String,
}

/// A trip in a driver's profile and event stream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TripRef {
    pub id: String,
}

/// A driver's profile.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Driver {
    pub trip: Option<TripRef>,
    pub position: Option<LastPosition>,
}

/// The last known position of a driver, with or without its age.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum LastPosition {
    Bare(Position),
    Dated { position: Position },
}

impl LastPosition {
    pub fn place(&self) -> Position {
        match self {
            Self::Bare(position) | Self::Dated { position } => *position,
        }
    }
}

/// An event of a driver's stream.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DriverEvent {
    #[serde(rename = "type")]
    pub kind: String,
    pub trip_id: Option<String>,
    pub offer: Option<Offer>,
    pub trip: Option<TripRef>,
    /// The place of a `hint.created`.
    pub position: Option<Position>,
    /// The end of a `hint.created`.
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub trip: Trip,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Quote {
    pub id: String,
    #[serde(default)]
    pub surge: Surge,
}

/// The surge of a quote: an object, or a factor with two decimals as in earlier versions of the service.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Surge {
    /// In basis points; 10,000 is none.
    Multiplier {
        multiplier_bp: u32,
    },
    Factor(String),
    Other(IgnoredAny),
}

impl Default for Surge {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

impl Surge {
    /// The factor of the price; 1 without surge, and for what this client does not know.
    pub fn multiplier(&self) -> f64 {
        match self {
            Self::Multiplier { multiplier_bp } => f64::from(*multiplier_bp) / 10_000.0,
            Self::Factor(text) => text.parse().ok().filter(|factor: &f64| factor.is_finite()).unwrap_or(1.0),
            Self::Other(IgnoredAny) => 1.0,
        }
    }
}

/// A trip, with what its rider is shown of the time to the driver's arrival.
#[derive(Debug, Deserialize)]
pub(crate) struct ShownEta {
    pub eta_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub token: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ClockReading {
    pub domain: DateTime<Utc>,
    pub scale: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PositionResponse {
    pub verdict: String,
}

/// The audit of the service.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Audit {
    pub clean: bool,
    pub violations: BTreeMap<String, u64>,
    pub unsettled: u64,
    #[serde(default)]
    pub captured: Captured,
}

/// Captured money in minor units by currency, as recorded by the service and by the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// In the service's ledger.
    pub service: BTreeMap<String, i64>,
    /// In the provider's records; empty if they could not be read.
    pub provider: BTreeMap<String, i64>,
}

#[derive(Serialize)]
pub(crate) struct NewToken<'a> {
    pub role: super::Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct NewQuote {
    pub pickup: Position,
    pub dropoff: Position,
    pub class: Class,
}

#[derive(Serialize)]
pub(crate) struct NewTrip<'a> {
    pub quote_id: &'a str,
    pub payment_method: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Availability<'a> {
    pub available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plate: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct NewPosition {
    pub position: Position,
    pub recorded_at: DateTime<Utc>,
}

#[derive(Serialize)]
pub(crate) struct Start<'a> {
    pub pin: &'a str,
}

/// A command without fields.
#[derive(Serialize)]
pub(crate) struct EmptyBody {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn surge_of_a_quote_is_read_in_every_form() {
        let multiplier = |quote: &str| serde_json::from_str::<Quote>(quote).unwrap().surge.multiplier();
        for (quote, expected) in [
            (r#"{"id": "q"}"#, 1.0),
            (r#"{"id": "q", "surge": "1.20"}"#, 1.2),
            (r#"{"id": "q", "surge": "high"}"#, 1.0),
            (r#"{"id": "q", "surge": null}"#, 1.0),
            (r#"{"id": "q", "surge": {"multiplier_bp": 12500, "cell": null, "reason": "few drivers"}}"#, 1.25),
            (r#"{"id": "q", "surge": {"multiplier_bp": "many"}}"#, 1.0),
        ] {
            assert!((multiplier(quote) - expected).abs() < 1e-9, "{quote}");
        }
    }

    #[test]
    fn hint_has_a_place_and_an_end() {
        let data = r#"{"type": "hint.created", "seq": 3, "id": "hnt_1", "cell": "8a2a1072b59ffff", "reason": "short",
            "position": {"lat": 40.7, "lon": -74.0}, "expires_at": "2030-01-01T00:10:00Z"}"#;
        let event: DriverEvent = serde_json::from_str(data).unwrap();
        assert_eq!((event.kind.as_str(), event.position), ("hint.created", Some(Position { lat: 40.7, lon: -74.0 })));
        assert!(event.expires_at.is_some() && event.offer.is_none());
    }
}
