//! A trip as a value: its states, what each state means, and the commands that change it.
//!
//! Everything that depends on a state is decided here or in [`state_machine`](super::state_machine). SQL reads the same facts
//! from the tables `trip_states` and `trip_transitions`. How to add a state: `docs/how-to/add-a-trip-state.md`.

use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::names::string_enum;

string_enum! {
    /// The state of a trip.
    pub enum State as "TripState" {
        /// The payment is being authorized.
        Requested = "requested",
        /// The payment is authorized, and the service looks for a driver.
        Searching = "searching",
        /// A driver has an offer for the trip.
        Offered = "offered",
        /// A driver is on the way to the pickup.
        Assigned = "assigned",
        /// The driver is at the pickup.
        Arrived = "arrived",
        /// The rider is in the car.
        InProgress = "in_progress",
        /// Over: the ride took place.
        Completed = "completed",
        /// Over: the rider cancelled.
        Cancelled = "cancelled",
        /// Over: the rider did not come to the pickup.
        NoShow = "no_show",
        /// Over: no driver was found.
        NoDriver = "no_driver",
        /// Over: the payment was declined, or not authorized in time.
        PaymentFailed = "payment_failed",
        /// Over: an operator ended the trip.
        Aborted = "aborted",
    }

    /// A command to a trip.
    pub enum CommandKind as "TripCommand" {
        /// The rider requests a ride.
        Request = "request",
        /// The payment was authorized.
        Authorized = "authorized",
        /// The payment was declined.
        PaymentDeclined = "payment_declined",
        /// The payment was not authorized in time.
        PaymentTimeout = "payment_timeout",
        /// A driver gets an offer.
        Offer = "offer",
        /// The driver accepts the offer.
        Accept = "accept",
        /// The driver declines the offer.
        Decline = "decline",
        /// The offer expires.
        Expire = "expire",
        /// The offer is withdrawn.
        Withdraw = "withdraw",
        /// The search ends without a driver.
        GiveUp = "give_up",
        /// The driver arrives at the pickup.
        Arrive = "arrive",
        /// The ride starts.
        Start = "start",
        /// The ride ends at the destination.
        Complete = "complete",
        /// The driver cancels.
        DriverCancel = "driver_cancel",
        /// The driver sent no position for 180 s.
        DriverUnresponsive = "driver_unresponsive",
        /// The rider cancels.
        RiderCancel = "rider_cancel",
        /// The driver reports that the rider did not come.
        NoShow = "no_show",
        /// An operator ends the trip.
        Abort = "abort",
    }

    /// The kind of caller of a command to a trip.
    pub enum ActorKind {
        /// The rider of the trip.
        Rider = "rider",
        /// The driver of the trip or of the offer.
        Driver = "driver",
        /// The service itself.
        System = "system",
        /// An operator.
        Ops = "ops",
    }
}

/// The charge for a trip, which decides the lines of its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing, or not known yet.
    None,
    /// The fare and the waiting charge.
    Fare,
    /// The cancellation fee, which may be zero.
    CancellationFee,
    /// The no-show fee.
    NoShowFee,
    /// An amount set by an operator, which may be zero.
    SetByOperator,
}

/// What a state means.
enum Phase {
    BeforeDriver,
    DriverComing,
    RiderInCar,
    Over(Charge),
}

impl State {
    const fn phase(self) -> Phase {
        match self {
            Self::Requested | Self::Searching | Self::Offered => Phase::BeforeDriver,
            Self::Assigned | Self::Arrived => Phase::DriverComing,
            Self::InProgress => Phase::RiderInCar,
            Self::Completed => Phase::Over(Charge::Fare),
            Self::Cancelled => Phase::Over(Charge::CancellationFee),
            Self::NoShow => Phase::Over(Charge::NoShowFee),
            Self::Aborted => Phase::Over(Charge::SetByOperator),
            Self::NoDriver | Self::PaymentFailed => Phase::Over(Charge::None),
        }
    }

    /// Returns whether the trip has ended and no command is allowed any more.
    pub const fn is_over(self) -> bool {
        matches!(self.phase(), Phase::Over(_))
    }

    /// Returns whether a driver is assigned to the trip now.
    pub const fn has_driver(self) -> bool {
        matches!(self.phase(), Phase::DriverComing | Phase::RiderInCar)
    }

    /// Returns whether the rider is in the car.
    pub const fn rider_in_car(self) -> bool {
        matches!(self.phase(), Phase::RiderInCar)
    }

    /// Returns what the rider pays for a trip in this state.
    pub const fn charge(self) -> Charge {
        match self.phase() {
            Phase::Over(charge) => charge,
            Phase::BeforeDriver | Phase::DriverComing | Phase::RiderInCar => Charge::None,
        }
    }
}

/// A command with the facts that its guards need. [`CommandKind`] documents each.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "see CommandKind")]
pub enum Command {
    Authorized {
        at: MachineTime,
    },
    PaymentDeclined,
    PaymentTimeout,
    Offer {
        expires_at: DomainTime,
    },
    Accept {
        driver: DriverId,
    },
    Decline,
    Expire,
    Withdraw,
    GiveUp,
    /// `distance_m`: from the driver's last position to the pickup; `None` without a position.
    Arrive {
        distance_m: Option<f64>,
    },
    Start {
        pin: String,
    },
    Complete,
    DriverCancel,
    DriverUnresponsive,
    /// `driver_unresponsive`: whether the driver sent no position for
    /// [`UNRESPONSIVE_AFTER`](super::state_machine::UNRESPONSIVE_AFTER).
    RiderCancel {
        driver_unresponsive: bool,
    },
    NoShow,
    /// `charge`: minor units; `None` for no charge.
    Abort {
        charge: Option<i64>,
    },
}

impl Command {
    /// Returns the kind of the command.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Authorized { .. } => CommandKind::Authorized,
            Self::PaymentDeclined => CommandKind::PaymentDeclined,
            Self::PaymentTimeout => CommandKind::PaymentTimeout,
            Self::Offer { .. } => CommandKind::Offer,
            Self::Accept { .. } => CommandKind::Accept,
            Self::Decline => CommandKind::Decline,
            Self::Expire => CommandKind::Expire,
            Self::Withdraw => CommandKind::Withdraw,
            Self::GiveUp => CommandKind::GiveUp,
            Self::Arrive { .. } => CommandKind::Arrive,
            Self::Start { .. } => CommandKind::Start,
            Self::Complete => CommandKind::Complete,
            Self::DriverCancel => CommandKind::DriverCancel,
            Self::DriverUnresponsive => CommandKind::DriverUnresponsive,
            Self::RiderCancel { .. } => CommandKind::RiderCancel,
            Self::NoShow => CommandKind::NoShow,
            Self::Abort { .. } => CommandKind::Abort,
        }
    }
}

/// A trip. The migration describes each field.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Trip {
    pub id: TripId,
    pub rider_id: RiderId,
    pub driver_id: Option<DriverId>,
    pub quote_id: QuoteId,
    pub payment_id: PaymentId,
    pub state: State,
    pub version: i64,
    pub class: VehicleClass,
    pub pickup: Position,
    pub dropoff: Position,
    pub price: Money,
    pub waiting_charge: i64,
    pub total: Option<i64>,
    pub pin: String,
    pub pin_failures: i16,
    pub offers_made: i16,
    pub unassignments: i16,
    pub cancelled_by: Option<ActorKind>,
    pub requested_at: DomainTime,
    pub authorized_at: Option<MachineTime>,
    pub pickup_by: Option<DomainTime>,
    pub search_deadline_at: Option<DomainTime>,
    pub searching_since: Option<DomainTime>,
    pub assigned_at: Option<DomainTime>,
    pub arrived_at: Option<DomainTime>,
    pub started_at: Option<DomainTime>,
    pub ended_at: Option<DomainTime>,
    pub due_at: Option<DomainTime>,
}

impl Trip {
    /// Returns a value that the trip's state guarantees.
    ///
    /// # Errors
    /// [`Error::ImpossibleRow`] if it is missing.
    pub(super) fn required<T>(&self, column: &'static str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::impossible_row("trips", column, self.id, format!("null while {}", self.state)))
    }

    /// Checks that every value is there that the state guarantees.
    ///
    /// # Errors
    /// [`Error::ImpossibleRow`] if one is missing.
    pub(super) fn check(self) -> Result<Self> {
        let (driver, assigned) = (("driver_id", self.driver_id.is_some()), ("assigned_at", self.assigned_at.is_some()));
        let (arrived, started) = (("arrived_at", self.arrived_at.is_some()), ("started_at", self.started_at.is_some()));
        let (deadline, ended) =
            (("search_deadline_at", self.search_deadline_at.is_some()), ("ended_at", self.ended_at.is_some()));
        let guaranteed: &[(&'static str, bool)] = match self.state {
            State::Requested => &[],
            State::Searching | State::Offered => &[deadline],
            State::Assigned => &[driver, assigned],
            State::Arrived => &[driver, assigned, arrived],
            State::InProgress => &[driver, assigned, arrived, started],
            State::Completed | State::NoShow => &[driver, ended],
            State::Cancelled | State::NoDriver | State::PaymentFailed | State::Aborted => &[ended],
        };
        for (column, is_there) in guaranteed {
            self.required(column, is_there.then_some(()))?;
        }
        Ok(self)
    }
}
