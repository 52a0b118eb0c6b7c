//! The JSON of the service, with the fields that riders and drivers use.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
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
}

#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub trip: Trip,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Quote {
    pub id: String,
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
