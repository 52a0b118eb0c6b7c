//! What happened in a run, as the actors saw it.
//!
//! Times are real seconds since the load began; negative before it.

use serde::{Deserialize, Serialize};

/// Everything that was recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The seed of the load.
    pub seed: u64,
    /// Real seconds of load, without settling.
    pub seconds: f64,
    /// Domain seconds per real second.
    pub time_scale: u32,
    /// Requests, in the order of their responses.
    pub requests: Vec<RequestRecord>,
    /// Trips that riders asked for, also those that were refused.
    pub trips: Vec<TripRecord>,
    /// Offers that drivers received.
    pub offers: Vec<OfferRecord>,
    /// Events of drivers while they had a stream open.
    pub driver_events: Vec<DriverEventRecord>,
    /// Verdicts on positions, counted by group and second.
    pub positions: Vec<PositionCount>,
    /// Events of the load, restarts included.
    pub events: Vec<EventRecord>,
    /// Deliveries to the subscriber, also those it refused.
    pub deliveries: Vec<DeliveryRecord>,
    /// Responses that named another caller's object.
    pub foreign: Vec<ForeignRecord>,
}

/// A request and its response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// Start.
    pub at_s: f64,
    /// Milliseconds until the response was read, or the caller gave up.
    pub ms: f64,
    /// Method and path template.
    pub operation: String,
    /// Group of the caller.
    pub group: String,
    /// Name of the caller, unique in the run: `station-3`.
    pub caller: String,
    /// Status; 0: no response.
    pub status: u16,
    /// Code of the problem document; empty without one.
    pub code: String,
    /// Trace id of the response; empty without one.
    pub trace_id: String,
    /// Idempotency key; empty without one.
    pub key: String,
    /// Whether the response was a replay.
    pub replayed: bool,
    /// Digest of the response's body, for responses to requests with a key.
    pub digest: u64,
}

/// A trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TripRecord {
    /// Id; empty if the trip was refused.
    pub id: String,
    /// Group of the rider.
    pub group: String,
    /// Name of the rider.
    pub rider: String,
    /// When it was requested.
    pub at_s: f64,
    /// When it was assigned for the first time, by the rider's reads.
    pub assigned_at_s: Option<f64>,
    /// Domain seconds from the request to the assignment.
    pub wait_s: Option<f64>,
    /// When it ended, by the rider's reads.
    pub ended_at_s: Option<f64>,
    /// Its last state as the rider read it, `gave_up`, or `refused`.
    pub end: String,
    /// Its state in the database at the end; empty if it was refused.
    pub state: String,
    /// The payment's id.
    pub payment: String,
    /// The fare, minor units.
    pub fare: i64,
}

/// An offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferRecord {
    /// Id.
    pub id: String,
    /// The trip's id.
    pub trip: String,
    /// Group of the driver.
    pub group: String,
    /// Name of the driver.
    pub driver: String,
    /// When the driver received it; the creation, if they did not.
    pub at_s: f64,
    /// Whether the driver received it.
    pub received: bool,
    /// `accept`, `decline`, or empty if the driver did not answer.
    pub answer: String,
    /// Status of the response to the answer; 0 without one.
    pub status: u16,
    /// Its state in the database at the end.
    pub end: String,
}

/// An event of a driver's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverEventRecord {
    /// When the driver received it; the creation, if they did not.
    pub at_s: f64,
    /// Group of the driver.
    pub group: String,
    /// Name of the driver.
    pub driver: String,
    /// Its number, unique among all drivers.
    pub seq: i64,
    /// Its type: `offer.created`.
    pub event: String,
    /// Whether the driver received it.
    pub received: bool,
}

/// A count of verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionCount {
    /// Second of the load.
    pub second: i64,
    /// Group of the drivers.
    pub group: String,
    /// The verdict; `refused` if the whole request was.
    pub verdict: String,
    /// Positions.
    pub count: u64,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRecord {
    /// When it began.
    pub at_s: f64,
    /// Its name: that of the load's event, `death`, or `probe_restart`.
    pub name: String,
    /// What happened, in words.
    pub detail: String,
}

/// A delivery to the subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRecord {
    /// When it arrived.
    pub at_s: f64,
    /// The endpoint's number, from 0.
    pub endpoint: u32,
    /// Id of the event.
    pub event_id: String,
    /// Type of the event: `trip.completed`.
    pub event: String,
    /// Id of the object that the event concerns.
    pub object: String,
    /// State of the object in the event; empty without one.
    pub state: String,
    /// The subscriber's status; 0 if it closed the connection.
    pub status: u16,
    /// Whether the signature is right.
    pub signed: bool,
}

/// A response that named another caller's object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignRecord {
    /// When.
    pub at_s: f64,
    /// Method and path template.
    pub operation: String,
    /// Group of the caller.
    pub group: String,
    /// Name of the caller.
    pub caller: String,
    /// The object.
    pub object: String,
    /// Name of the caller that the object belongs to.
    pub owner: String,
}
