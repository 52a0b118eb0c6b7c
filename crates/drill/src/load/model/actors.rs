//! Drivers, riders, operators, and requests at a fixed rate.

use serde::{Deserialize, Serialize};

use super::defaults::{answer_after, client_time_out, eight, five, four, one, one_s, rider, trip_m, visa};

/// Drivers with the same habits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverGroup {
    /// The name that checks use.
    pub name: String,
    /// Number of drivers.
    pub count: u32,
    /// Where they start.
    #[serde(default)]
    pub around: Area,
    /// How they learn of offers.
    #[serde(default)]
    pub receive: Receive,
    /// How their positions reach the service.
    #[serde(default)]
    pub positions: Positions,
    /// Domain seconds between two positions.
    #[serde(default = "four")]
    pub position_every_s: f64,
    /// Domain seconds by which the clock that stamps their positions is ahead; negative: behind.
    #[serde(default)]
    pub clock_ahead_s: f64,
    /// Meters per domain second on the way to a pickup and to a dropoff; 0: they arrive with their next position.
    #[serde(default)]
    pub speed_mps: f64,
    /// Meters per domain second while free, in a seeded direction within `around`; 0: they wait.
    #[serde(default)]
    pub cruise_mps: f64,
    /// Share of offers that they decline.
    #[serde(default)]
    pub decline: f64,
    /// Share of offers that they let expire.
    #[serde(default)]
    pub ignore: f64,
    /// Real milliseconds between receiving an offer and answering it, from and to.
    #[serde(default = "answer_after")]
    pub answer_after_ms: [u64; 2],
    /// Share of assigned trips that they cancel.
    #[serde(default)]
    pub cancel: f64,
    /// Real second of the load in which they come online.
    #[serde(default)]
    pub online_at_s: f64,
    /// Real seconds online and offline in turn; absent: always online.
    #[serde(default)]
    pub shift_s: Option<[f64; 2]>,
}

/// How a driver learns of offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receive {
    /// Polls the own profile.
    #[default]
    Poll,
    /// Reads server-sent events.
    Sse,
    /// Reads a WebSocket.
    WebSocket,
}

/// How a driver's positions reach the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// By the driver; over the WebSocket if there is one.
    #[default]
    Own,
    /// In a batch of the whole group, `POST /v1/locations`.
    Gateway,
    /// Not at all.
    None,
}

/// A disc.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Latitude of the center, degrees.
    pub lat: f64,
    /// Longitude of the center, degrees.
    pub lon: f64,
    /// Radius, meters.
    pub radius_m: f64,
}

/// Riders with the same habits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiderGroup {
    /// The name that checks use.
    pub name: String,
    /// Number of riders.
    pub count: u32,
    /// Where they are picked up.
    #[serde(default)]
    pub around: Area,
    /// Straight distance of their trips, meters, in a seeded direction.
    #[serde(default = "trip_m")]
    pub trip_m: f64,
    /// Real seconds within which they all begin, evenly.
    #[serde(default = "five")]
    pub arrive_within_s: f64,
    /// Real second of the load in which the first one begins.
    #[serde(default)]
    pub from_s: f64,
    /// Trips of each rider; 0: as many as fit.
    #[serde(default = "one")]
    pub trips: u32,
    /// Real seconds between two trips.
    #[serde(default = "one_s")]
    pub pause_s: f64,
    /// Payment methods, one chosen by the seed for each trip.
    #[serde(default = "visa")]
    pub payment_methods: Vec<String>,
    /// Domain seconds of searching after which a rider gives up and cancels; absent: never.
    #[serde(default)]
    pub patience_s: Option<f64>,
    /// Cancellations.
    #[serde(default)]
    pub cancel: Option<RiderCancel>,
    /// Idempotency keys.
    #[serde(default)]
    pub keys: Keys,
    /// Share of commands that are sent again under the same key.
    #[serde(default)]
    pub repeat: f64,
    /// Share of requests for a trip and of cancellations whose connection the rider closes before the response, and which they send
    /// again under the same key.
    #[serde(default)]
    pub hang_up: f64,
    /// Share of completed trips that they tip.
    #[serde(default)]
    pub tip: f64,
    /// Whether they read their trips, receipt and payment after each trip.
    #[serde(default)]
    pub reads: bool,
}

/// When riders cancel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiderCancel {
    /// Share of trips.
    pub share: f64,
    /// The cause.
    pub when: CancelWhen,
    /// Real milliseconds after the cause, from and to.
    #[serde(default)]
    pub after_ms: [u64; 2],
}

/// What a rider's cancellation follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelWhen {
    /// The request for the trip.
    Requested,
    /// The driver's acceptance, sent at the same time: the two race.
    Accept,
    /// The assignment, as the rider reads it.
    Assigned,
    /// The driver's arrival.
    Arrived,
}

/// Idempotency keys of riders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// One for each command.
    #[default]
    Unique,
    /// Counted by each rider from 1, so that different riders send the same keys.
    Counted,
}

/// Requests at a fixed rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestGroup {
    /// The name that checks use.
    pub name: String,
    /// Method and path template, as in the published document: `POST /v1/quotes`. The body of a quote, and the query of
    /// `GET /v1/drivers/nearby`, are made from `around`.
    pub operation: String,
    /// The caller's role: `rider`, `driver`, `gateway`, `ops` or `none`.
    #[serde(default = "rider")]
    pub role: String,
    /// Callers, which take turns.
    #[serde(default = "eight")]
    pub callers: u32,
    /// Requests per real second, evenly.
    pub per_s: f64,
    /// Real second of the load in which they begin.
    #[serde(default)]
    pub from_s: f64,
    /// Real second of the load in which they end; absent: with the load.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// How long a caller waits for a response, real milliseconds.
    #[serde(default = "client_time_out")]
    pub time_out_ms: u64,
    /// How a caller repeats a request that got no response, a 429 or a 5xx.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Where.
    #[serde(default)]
    pub around: Area,
    /// Body, as JSON.
    #[serde(default)]
    pub body: Option<serde_json::Value>,
}

/// How a caller repeats a request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The most repetitions.
    pub times: u32,
    /// Real milliseconds before the first one.
    pub wait_ms: u64,
    /// Each wait is this times the one before.
    #[serde(default = "one_s")]
    pub factor: f64,
    /// Whether each wait is drawn between nothing and its length.
    #[serde(default)]
    pub jitter: bool,
}

/// Operators with the same habits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorGroup {
    /// The name that checks use.
    pub name: String,
    /// Number of operators.
    #[serde(default = "one")]
    pub count: u32,
    /// Share of captured fares that they refund.
    #[serde(default)]
    pub refund: f64,
    /// The part of the fare that a refund returns, above 0 and at most 1.
    #[serde(default = "one_s")]
    pub refund_part: f64,
    /// Share of refunds that are sent again under the same key.
    #[serde(default)]
    pub repeat: f64,
    /// Share of assigned trips that they abort without a charge.
    #[serde(default)]
    pub abort: f64,
}

impl Default for Area {
    fn default() -> Self {
        Self { lat: 40.7500, lon: -73.9900, radius_m: 800.0 }
    }
}
