//! A trip as a value: its states, the commands that change it, and what it remembers.

use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::ids::{DriverId, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the database and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Reads the name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    )*};
}

names! {
    /// Where a trip stands.
    State {
        /// Asked for; the payment is being authorised.
        Requested = "requested",
        /// Paid for, and a driver is being looked for.
        Searching = "searching",
        /// A driver has been asked.
        Offered = "offered",
        /// A driver is coming.
        Assigned = "assigned",
        /// The driver is at the pickup.
        Arrived = "arrived",
        /// Under way.
        InProgress = "in_progress",
        /// Done.
        Completed = "completed",
        /// Called off by the rider.
        Cancelled = "cancelled",
        /// The rider did not come.
        NoShow = "no_show",
        /// Nobody was found.
        NoDriver = "no_driver",
        /// The payment was declined, or not decided in time.
        PaymentFailed = "payment_failed",
        /// Ended by an operator.
        Aborted = "aborted",
    }
    /// What can be done to a trip.
    CommandKind {
        /// The rider asks for it.
        Request = "request",
        /// The payment is authorised.
        Authorised = "authorised",
        /// The payment is declined.
        PaymentDeclined = "payment_declined",
        /// The payment is not decided in time.
        PaymentTimeout = "payment_timeout",
        /// A driver is asked.
        Offer = "offer",
        /// The driver says yes.
        Accept = "accept",
        /// The driver says no.
        Decline = "decline",
        /// The driver says nothing.
        Expire = "expire",
        /// The offer is taken back.
        Withdraw = "withdraw",
        /// The search has lasted long enough.
        GiveUp = "give_up",
        /// The driver is at the pickup.
        Arrive = "arrive",
        /// The rider is in the car.
        Start = "start",
        /// The rider is where they wanted to be.
        Complete = "complete",
        /// The driver calls it off.
        DriverCancel = "driver_cancel",
        /// The driver has not been heard of.
        DriverSilent = "driver_silent",
        /// The rider calls it off.
        RiderCancel = "rider_cancel",
        /// The rider did not come.
        NoShow = "no_show",
        /// An operator ends it.
        Abort = "abort",
    }
}

impl State {
    /// Whether nothing will happen to the trip any more.
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Cancelled | Self::NoShow | Self::NoDriver | Self::PaymentFailed | Self::Aborted
        )
    }

    /// Whether a driver is bound to the trip.
    pub const fn has_driver(self) -> bool {
        matches!(self, Self::Assigned | Self::Arrived | Self::InProgress)
    }
}

/// A command with the facts that its guards need.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "CommandKind explains each")]
pub enum Command {
    Authorised {
        at: MachineTime,
    },
    PaymentDeclined,
    PaymentTimeout,
    /// `expires_at`: when the offer does.
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
    /// `distance_m`: from the driver's last position to the pickup; `None` if there is no position.
    Arrive {
        distance_m: Option<f64>,
    },
    Start {
        pin: String,
    },
    Complete,
    DriverCancel,
    DriverSilent,
    /// `driver_silent`: whether the driver has not been heard of for [`SILENT_AFTER`].
    RiderCancel {
        driver_silent: bool,
    },
    NoShow,
    /// `charge`: minor units that ops sets, nothing if absent.
    Abort {
        charge: Option<i64>,
    },
}

impl Command {
    /// Which one it is.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Authorised { .. } => CommandKind::Authorised,
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
            Self::DriverSilent => CommandKind::DriverSilent,
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
    pub drivers_lost: i16,
    pub cancelled_by: Option<String>,
    pub requested_at: DomainTime,
    pub authorised_at: Option<MachineTime>,
    pub search_deadline_at: Option<DomainTime>,
    pub search_at: Option<DomainTime>,
    pub assigned_at: Option<DomainTime>,
    pub arrived_at: Option<DomainTime>,
    pub started_at: Option<DomainTime>,
    pub ended_at: Option<DomainTime>,
    pub due_at: Option<DomainTime>,
}
