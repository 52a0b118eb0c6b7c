//! The state machine of a trip: the commands that each state allows, their guards, and their effects. Pure: times and all
//! outside facts are arguments.
//!
//! The transitions are also rows of `trip_transitions`, so that the database rejects any other; a test keeps both equal.

use chrono::TimeDelta;

pub use super::model::{ActorKind, Command, CommandKind, State, Trip};
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::DriverId;
use crate::pricing::{Tariff, waiting_charge};

/// The time to authorize the payment. The trip then ends as `payment_failed`.
pub const PAYMENT_TIMEOUT: TimeDelta = TimeDelta::seconds(60);
/// The longest search for a driver. It starts again when a driver is unassigned. A search ends at the trip's latest pickup at the latest.
pub const SEARCH_MAX: TimeDelta = TimeDelta::seconds(600);
/// The most offers for one trip.
pub const OFFERS_MAX: i16 = 20;
/// The number of unassigned drivers that ends a trip.
pub const UNASSIGNMENTS_MAX: i16 = 4;
/// The longest distance from the pickup at which a driver may arrive, meters.
pub const ARRIVAL_RADIUS_M: f64 = 150.0;
/// The time after the assignment in which the rider cancels for free.
pub const FREE_CANCELLATION_FOR: TimeDelta = TimeDelta::seconds(120);
/// The time from the arrival until the driver may report a no-show.
pub const NO_SHOW_AFTER: TimeDelta = TimeDelta::seconds(300);
/// The time without a position after which a driver counts as unresponsive.
pub const UNRESPONSIVE_AFTER: TimeDelta = TimeDelta::seconds(180);
/// The number of wrong PINs that locks the start of a trip.
pub const PIN_FAILURES_MAX: i16 = 5;

/// The effect of a transition on the trip's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyEffect {
    /// None.
    None,
    /// Release the authorization.
    Release,
    /// Charge the rider this many minor units.
    Charge(i64),
}

/// A trip after a command, and the effect on its money.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The trip, its version one higher.
    pub trip: Trip,
    /// The effect on its money.
    pub money: MoneyEffect,
}

impl Trip {
    /// Applies a command.
    ///
    /// # Errors
    /// A refusal if the state does not allow the command or a guard fails; [`Error::ImpossibleRow`] if the trip lacks a value
    /// that its state guarantees.
    ///
    /// [`Error::ImpossibleRow`]: crate::platform::error::Error::ImpossibleRow
    pub fn apply(&self, command: &Command, now: DomainTime) -> Result<Transition> {
        use State::{
            Aborted, Arrived, Assigned, Cancelled, Completed, InProgress, NoDriver, NoShow, Offered, PaymentFailed,
            Requested, Searching,
        };

        let mut next = Self { version: self.version + 1, ..self.clone() };
        let money = match (self.state, command) {
            (Requested, Command::Authorized { at }) => {
                next.authorized_at = Some(*at);
                next.start_search(now)
            }
            (Requested, Command::PaymentDeclined | Command::PaymentTimeout) => next.end(PaymentFailed, now),
            (Searching, Command::Offer { expires_at }) => next.offer(*expires_at),
            (Searching, Command::GiveUp) if self.is_search_exhausted(now)? => next.end(NoDriver, now),
            (Offered, Command::Accept { driver }) => next.assign(*driver, now),
            (Offered, Command::Decline | Command::Expire | Command::Withdraw) => next.resume_search(now)?,
            (Assigned, Command::Arrive { distance_m }) => {
                guard_arrival(*distance_m)?;
                next.arrive(now)
            }
            (Arrived, Command::Start { pin }) => {
                self.guard_pin(pin)?;
                next.start(now)?
            }
            (Arrived, Command::NoShow) => {
                self.guard_no_show(now)?;
                let fee = Tariff::of(self.class).no_show_fee;
                next.end_with_charge(NoShow, fee.min(self.price.amount), now)
            }
            (InProgress, Command::Complete) => {
                next.end_with_charge(Completed, self.price.amount + self.waiting_charge, now)
            }
            (Assigned | Arrived, Command::DriverCancel | Command::DriverUnresponsive) => next.unassign_driver(now),
            (Requested | Searching | Offered | Assigned | Arrived, Command::RiderCancel { driver_unresponsive }) => {
                next.cancelled_by = Some(ActorKind::Rider);
                match self.cancellation_fee(*driver_unresponsive, now)? {
                    0 => next.end(Cancelled, now),
                    fee => next.end_with_charge(Cancelled, fee, now),
                }
            }
            (Assigned | Arrived | InProgress, Command::Abort { charge }) => {
                next.cancelled_by = Some(ActorKind::Ops);
                match charge.unwrap_or(0) {
                    0 => next.end(Aborted, now),
                    charge => next.end_with_charge(Aborted, charge, now),
                }
            }
            (state, command) => return Err(invalid_transition(state, command.kind()).into()),
        };
        Ok(Transition { trip: next, money })
    }

    /// Returns the command that a passed deadline gives at `now`, if any. [`Command::Expire`] stands for the deadline of the
    /// pending offer.
    pub fn due(&self, now: DomainTime) -> Option<Command> {
        if self.due_at.is_none_or(|due_at| now < due_at) {
            return None;
        }
        match self.state {
            State::Requested => Some(Command::PaymentTimeout),
            State::Searching => Some(Command::GiveUp),
            State::Offered => Some(Command::Expire),
            State::Assigned
            | State::Arrived
            | State::InProgress
            | State::Completed
            | State::Cancelled
            | State::NoShow
            | State::NoDriver
            | State::PaymentFailed
            | State::Aborted => None,
        }
    }

    /// Returns the fee for a cancellation by the rider at `now`, minor units.
    ///
    /// # Errors
    /// If the trip has a driver and no time of assignment.
    pub fn cancellation_fee(&self, driver_unresponsive: bool, now: DomainTime) -> Result<i64> {
        if !self.state.has_driver() || driver_unresponsive {
            return Ok(0);
        }
        let assigned_at = self.required("assigned_at", self.assigned_at)?;
        let is_free = now.since(assigned_at) <= FREE_CANCELLATION_FOR;
        Ok(if is_free { 0 } else { Tariff::of(self.class).cancellation_fee.min(self.price.amount) })
    }

    fn is_search_exhausted(&self, now: DomainTime) -> Result<bool> {
        Ok(self.offers_made >= OFFERS_MAX || now >= self.required("search_deadline_at", self.search_deadline_at)?)
    }

    fn start_search(&mut self, now: DomainTime) -> MoneyEffect {
        self.search_until(now + SEARCH_MAX, now)
    }

    fn resume_search(&mut self, now: DomainTime) -> Result<MoneyEffect> {
        Ok(self.search_until(self.required("search_deadline_at", self.search_deadline_at)?, now))
    }

    /// Searches until `deadline`, or until no driver can be at the pickup in time any more.
    fn search_until(&mut self, deadline: DomainTime, now: DomainTime) -> MoneyEffect {
        let deadline = self.pickup_by.map_or(deadline, |pickup_by| deadline.min(pickup_by));
        self.state = State::Searching;
        self.search_deadline_at = Some(deadline);
        self.searching_since.get_or_insert(now);
        self.due_at = Some(if self.offers_made >= OFFERS_MAX { now } else { deadline });
        MoneyEffect::None
    }

    fn offer(&mut self, expires_at: DomainTime) -> MoneyEffect {
        self.state = State::Offered;
        self.offers_made += 1;
        self.due_at = Some(expires_at);
        MoneyEffect::None
    }

    fn assign(&mut self, driver: DriverId, now: DomainTime) -> MoneyEffect {
        self.state = State::Assigned;
        self.driver_id = Some(driver);
        self.assigned_at = Some(now);
        self.due_at = None;
        MoneyEffect::None
    }

    fn arrive(&mut self, now: DomainTime) -> MoneyEffect {
        self.state = State::Arrived;
        self.arrived_at = Some(now);
        MoneyEffect::None
    }

    fn start(&mut self, now: DomainTime) -> Result<MoneyEffect> {
        let waited_s = now.seconds_since(self.required("arrived_at", self.arrived_at)?);
        self.state = State::InProgress;
        self.started_at = Some(now);
        self.waiting_charge = waiting_charge(self.class, waited_s);
        Ok(MoneyEffect::None)
    }

    fn unassign_driver(&mut self, now: DomainTime) -> MoneyEffect {
        self.driver_id = None;
        self.assigned_at = None;
        self.arrived_at = None;
        self.unassignments += 1;
        if self.unassignments >= UNASSIGNMENTS_MAX { self.end(State::NoDriver, now) } else { self.start_search(now) }
    }

    fn end(&mut self, state: State, now: DomainTime) -> MoneyEffect {
        self.state = state;
        self.ended_at = Some(now);
        self.due_at = None;
        self.total = Some(0);
        MoneyEffect::Release
    }

    fn end_with_charge(&mut self, state: State, total: i64, now: DomainTime) -> MoneyEffect {
        self.end(state, now);
        self.total = Some(total);
        MoneyEffect::Charge(total)
    }

    fn guard_pin(&self, pin: &str) -> Result<(), Refusal> {
        if self.pin_failures >= PIN_FAILURES_MAX {
            let detail = "The PIN is locked after five wrong ones. Ask an operator to reset it.";
            return Err(Refusal::new(Code::PinLocked, detail));
        }
        if !crate::platform::auth::constant_time_eq(self.pin.as_bytes(), pin.as_bytes()) {
            let left = PIN_FAILURES_MAX - self.pin_failures - 1;
            let detail = format!("The PIN is not the rider's. Ask the rider again: {left} tries are left.");
            return Err(Refusal::new(Code::WrongPin, detail).with("tries_left", left).committing());
        }
        Ok(())
    }

    fn guard_no_show(&self, now: DomainTime) -> Result<()> {
        let ready_at = self.required("arrived_at", self.arrived_at)? + NO_SHOW_AFTER;
        if now >= ready_at {
            return Ok(());
        }
        let left_s = ready_at.seconds_since(now) + 1;
        let detail = format!("Cannot report a no-show yet: the rider has {left_s} s left. Try again then.");
        Err(Refusal::new(Code::TooEarly, detail).with("seconds_left", left_s).into())
    }
}

fn guard_arrival(distance_m: Option<f64>) -> Result<(), Refusal> {
    let Some(distance_m) = distance_m else {
        let detail = "Cannot arrive: no position of the last 30 s is known. Send a position first.";
        return Err(Refusal::new(Code::TooFarFromPickup, detail));
    };
    if distance_m <= ARRIVAL_RADIUS_M {
        return Ok(());
    }
    let detail = format!(
        "Cannot arrive: the last position is {distance_m:.0} m from the pickup; at most {ARRIVAL_RADIUS_M} m are \
         allowed. Send a newer position."
    );
    Err(Refusal::new(Code::TooFarFromPickup, detail).with("distance_m", distance_m.round() as i64))
}

/// Returns the refusal of a command that the state does not allow.
pub fn invalid_transition(state: State, command: CommandKind) -> Refusal {
    let allowed = allowed_commands(state).iter().map(|command| command.as_str()).collect::<Vec<_>>();
    let mut detail = format!("Cannot {}: the trip is {}.", verb(command), state.as_str().replace('_', " "));
    if !allowed.is_empty() {
        detail += &format!(" Allowed commands: {}.", allowed.join(", "));
    }
    Refusal::new(Code::InvalidTransition, detail).with("state", state.as_str()).with("allowed", allowed)
}

/// Returns the command as a verb in an error detail.
fn verb(command: CommandKind) -> &'static str {
    match command {
        CommandKind::RiderCancel | CommandKind::DriverCancel => "cancel",
        CommandKind::NoShow => "report a no-show",
        CommandKind::GiveUp => "end the search",
        CommandKind::Authorized => "start the search",
        CommandKind::PaymentDeclined | CommandKind::PaymentTimeout => "fail the payment",
        CommandKind::DriverUnresponsive => "unassign the driver",
        CommandKind::Request
        | CommandKind::Offer
        | CommandKind::Accept
        | CommandKind::Decline
        | CommandKind::Expire
        | CommandKind::Withdraw
        | CommandKind::Arrive
        | CommandKind::Start
        | CommandKind::Complete
        | CommandKind::Abort => command.as_str(),
    }
}

/// Returns the commands that a state allows. Guards may still refuse them.
pub const fn allowed_commands(state: State) -> &'static [CommandKind] {
    use CommandKind as C;
    match state {
        State::Requested => &[C::Authorized, C::PaymentDeclined, C::PaymentTimeout, C::RiderCancel],
        State::Searching => &[C::Offer, C::GiveUp, C::RiderCancel],
        State::Offered => &[C::Accept, C::Decline, C::Expire, C::Withdraw, C::RiderCancel],
        State::Assigned => &[C::Arrive, C::DriverCancel, C::DriverUnresponsive, C::RiderCancel, C::Abort],
        State::Arrived => &[C::Start, C::DriverCancel, C::DriverUnresponsive, C::RiderCancel, C::NoShow, C::Abort],
        State::InProgress => &[C::Complete, C::Abort],
        State::Completed
        | State::Cancelled
        | State::NoShow
        | State::NoDriver
        | State::PaymentFailed
        | State::Aborted => &[],
    }
}

#[cfg(test)]
#[path = "state_machine_tests.rs"]
mod tests;
