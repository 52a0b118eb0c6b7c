//! The machine of a trip: which command is allowed in which state, by which guard, and what it makes of the trip. Pure: time and
//! all facts from outside come in with the command.
//!
//! The legal steps are also rows of `trip_edges`, so that the database refuses any other; a test keeps the two equal.

use chrono::TimeDelta;

pub use super::model::{Command, CommandKind, State, Trip};
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal};
use crate::platform::ids::DriverId;
use crate::pricing::{Tariff, waiting_charge};

/// How long the provider may take to say yes or no before the trip gives up on it.
pub const PAYMENT_TIMEOUT: TimeDelta = TimeDelta::seconds(60);
/// How long a driver is searched for, anew after one was lost.
pub const SEARCH_MAX: TimeDelta = TimeDelta::seconds(600);
/// When nobody suitable is near, the search looks again after this.
pub const SEARCH_AGAIN: TimeDelta = TimeDelta::seconds(5);
/// Drivers asked for one trip at most.
pub const OFFERS_MAX: i16 = 20;
/// The fourth driver lost ends the trip.
pub const DRIVERS_LOST_MAX: i16 = 4;
/// How near the driver has to be to have arrived.
pub const ARRIVAL_RADIUS_M: f64 = 150.0;
/// Cancelling costs nothing this long after the assignment.
pub const FREE_CANCELLATION: TimeDelta = TimeDelta::seconds(120);
/// How long the driver waits before the rider has not shown up.
pub const NO_SHOW_AFTER: TimeDelta = TimeDelta::seconds(300);
/// A driver without a position for this long is silent.
pub const SILENT_AFTER: TimeDelta = TimeDelta::seconds(180);
/// Wrong PINs before an operator has to help.
pub const PIN_FAILURES_MAX: i16 = 5;

/// What a step does to the money of the trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyEffect {
    /// Nothing.
    None,
    /// The authorisation is given back.
    Release,
    /// The rider is charged so many minor units.
    Charge(i64),
}

/// A trip after a step, and what the step does to its money.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The trip as it is now, its version one higher.
    pub trip: Trip,
    /// For `payments`.
    pub money: MoneyEffect,
}

impl Trip {
    /// Takes a step.
    ///
    /// # Errors
    /// If the command is not allowed in this state, or a guard refuses it.
    pub fn step(&self, command: &Command, now: DomainTime) -> Result<Step, Refusal> {
        use State::{
            Aborted, Arrived, Assigned, Cancelled, Completed, InProgress, NoDriver, NoShow, Offered, PaymentFailed,
            Requested, Searching,
        };

        let mut next = Self { version: self.version + 1, ..self.clone() };
        let money = match (self.state, command) {
            (Requested, Command::Authorised { at }) => {
                next.authorised_at = Some(*at);
                next.search(now)
            }
            (Requested, Command::PaymentDeclined | Command::PaymentTimeout) => next.end(PaymentFailed, None, now),
            (Searching, Command::Offer { expires_at }) => next.ask(*expires_at),
            (Searching, Command::GiveUp) if self.is_searched_out(now) => next.end(NoDriver, Some("system"), now),
            (Offered, Command::Accept { driver }) => next.assign(*driver, now),
            (Offered, Command::Decline | Command::Expire | Command::Withdraw) => next.search_on(now),
            (Assigned, Command::Arrive { distance_m }) => {
                guard_arrival(*distance_m)?;
                next.arrive(now)
            }
            (Arrived, Command::Start { pin }) => {
                self.guard_pin(pin)?;
                next.start(now)
            }
            (Arrived, Command::NoShow) => {
                self.guard_no_show(now)?;
                let fee = Tariff::of(self.class).no_show_fee;
                next.end_with_charge(NoShow, fee.min(self.price.amount), now)
            }
            (InProgress, Command::Complete) => {
                next.end_with_charge(Completed, self.price.amount + self.waiting_charge, now)
            }
            (Assigned | Arrived, Command::DriverCancel | Command::DriverSilent) => next.lose_driver(now),
            (Requested | Searching | Offered | Assigned | Arrived, Command::RiderCancel { driver_silent }) => {
                next.cancelled_by = Some("rider".to_owned());
                match self.cancellation_fee(*driver_silent, now) {
                    0 => next.end(Cancelled, Some("rider"), now),
                    fee => next.end_with_charge(Cancelled, fee, now),
                }
            }
            (Assigned | Arrived | InProgress, Command::Abort { charge }) => {
                next.cancelled_by = Some("ops".to_owned());
                match charge.unwrap_or(0) {
                    0 => next.end(Aborted, Some("ops"), now),
                    charge => next.end_with_charge(Aborted, charge, now),
                }
            }
            (state, command) => return Err(refused(state, command.kind())),
        };
        Ok(Step { trip: next, money })
    }

    /// What time itself does to the trip at `now`, if anything. Offers have their own deadline: an offered trip answers
    /// [`Command::Expire`] when its offer's time has come.
    pub fn due(&self, now: DomainTime) -> Option<Command> {
        if self.due_at.is_none_or(|due_at| now < due_at) {
            return None;
        }
        match self.state {
            State::Requested => Some(Command::PaymentTimeout),
            State::Searching => Some(Command::GiveUp),
            State::Offered => Some(Command::Expire),
            _ => None,
        }
    }

    /// What the rider would pay for cancelling at `now`.
    pub fn cancellation_fee(&self, driver_silent: bool, now: DomainTime) -> i64 {
        let free = match self.assigned_at {
            _ if !self.state.has_driver() || driver_silent => true,
            Some(assigned_at) => now.since(assigned_at) <= FREE_CANCELLATION,
            None => true,
        };
        if free { 0 } else { Tariff::of(self.class).cancellation_fee.min(self.price.amount) }
    }

    fn is_searched_out(&self, now: DomainTime) -> bool {
        self.offers_made >= OFFERS_MAX || self.search_deadline_at.is_some_and(|deadline| now >= deadline)
    }

    fn search(&mut self, now: DomainTime) -> MoneyEffect {
        self.search_deadline_at = Some(now + SEARCH_MAX);
        self.search_on(now)
    }

    fn search_on(&mut self, now: DomainTime) -> MoneyEffect {
        self.state = State::Searching;
        self.search_at = Some(now);
        self.due_at = if self.offers_made >= OFFERS_MAX { Some(now) } else { self.search_deadline_at };
        MoneyEffect::None
    }

    fn ask(&mut self, expires_at: DomainTime) -> MoneyEffect {
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

    fn start(&mut self, now: DomainTime) -> MoneyEffect {
        let waited_s = self.arrived_at.map_or(0, |arrived_at| now.seconds_since(arrived_at));
        self.state = State::InProgress;
        self.started_at = Some(now);
        self.waiting_charge = waiting_charge(self.class, waited_s);
        MoneyEffect::None
    }

    fn lose_driver(&mut self, now: DomainTime) -> MoneyEffect {
        self.driver_id = None;
        self.assigned_at = None;
        self.arrived_at = None;
        self.drivers_lost += 1;
        if self.drivers_lost >= DRIVERS_LOST_MAX {
            self.end(State::NoDriver, Some("driver"), now)
        } else {
            self.search(now)
        }
    }

    fn end(&mut self, state: State, by: Option<&str>, now: DomainTime) -> MoneyEffect {
        self.state = state;
        self.cancelled_by = by.filter(|_| matches!(state, State::Cancelled | State::Aborted)).map(str::to_owned);
        self.ended_at = Some(now);
        self.due_at = None;
        self.search_at = None;
        self.total = Some(0);
        MoneyEffect::Release
    }

    fn end_with_charge(&mut self, state: State, total: i64, now: DomainTime) -> MoneyEffect {
        let by = self.cancelled_by.clone();
        self.end(state, by.as_deref(), now);
        self.total = Some(total);
        MoneyEffect::Charge(total)
    }

    fn guard_pin(&self, pin: &str) -> Result<(), Refusal> {
        if self.pin_failures >= PIN_FAILURES_MAX {
            return Err(Refusal::new(Code::PinLocked, "Five wrong PINs. An operator has to reset it."));
        }
        if !crate::platform::auth::same_secret(self.pin.as_bytes(), pin.as_bytes()) {
            let left = PIN_FAILURES_MAX - self.pin_failures - 1;
            return Err(Refusal::new(Code::WrongPin, format!("That is not the rider's PIN. {left} more tries."))
                .with("tries_left", left)
                .that_commits());
        }
        Ok(())
    }

    fn guard_no_show(&self, now: DomainTime) -> Result<(), Refusal> {
        let ready_at = self.arrived_at.unwrap_or(now) + NO_SHOW_AFTER;
        if now >= ready_at {
            return Ok(());
        }
        let left_s = ready_at.seconds_since(now) + 1;
        Err(Refusal::new(Code::TooEarly, format!("The rider has another {left_s} s to come."))
            .with("seconds_left", left_s))
    }
}

fn guard_arrival(distance_m: Option<f64>) -> Result<(), Refusal> {
    match distance_m {
        Some(distance_m) if distance_m <= ARRIVAL_RADIUS_M => Ok(()),
        Some(distance_m) => Err(Refusal::new(
            Code::TooFarFromPickup,
            format!(
                "Your last position is {distance_m:.0} m from the pickup; it has to be within {ARRIVAL_RADIUS_M} m."
            ),
        )
        .with("distance_m", distance_m.round() as i64)),
        None => Err(Refusal::new(Code::TooFarFromPickup, "There is no position of yours. Send one first.")),
    }
}

/// The refusal of a command that the state does not allow.
pub fn refused(state: State, command: CommandKind) -> Refusal {
    let allowed: Vec<_> = allowed_from(state).iter().map(|command| command.as_str()).collect();
    let ways_out = if allowed.is_empty() {
        "it is over, and nothing does any more".to_owned()
    } else {
        format!("what does is {}", allowed.join(", "))
    };
    let (state_name, command) = (state.as_str(), command.as_str());
    Refusal::new(
        Code::InvalidTransition,
        format!("The trip is {state_name}: {command} does not go from there; {ways_out}."),
    )
    .with("state", state.as_str())
    .with("allowed", allowed)
}

/// The commands that a state allows, guards apart.
pub const fn allowed_from(state: State) -> &'static [CommandKind] {
    use CommandKind as C;
    match state {
        State::Requested => &[C::Authorised, C::PaymentDeclined, C::PaymentTimeout, C::RiderCancel],
        State::Searching => &[C::Offer, C::GiveUp, C::RiderCancel],
        State::Offered => &[C::Accept, C::Decline, C::Expire, C::Withdraw, C::RiderCancel],
        State::Assigned => &[C::Arrive, C::DriverCancel, C::DriverSilent, C::RiderCancel, C::Abort],
        State::Arrived => &[C::Start, C::DriverCancel, C::DriverSilent, C::RiderCancel, C::NoShow, C::Abort],
        State::InProgress => &[C::Complete, C::Abort],
        _ => &[],
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
