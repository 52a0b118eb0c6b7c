//! How long a search took: the wait for a driver and the wait for the service. Pure.

use chrono::TimeDelta;

use crate::platform::clock::MachineTime;

/// When a trip could be matched.
///
/// A trip waits for a driver until the last cycle that had none for it, or until the event that started this cycle, and from then on
/// for the service: also while its driver is locked or the database does not answer. Of a backlog so dense that several cycles follow
/// each other, the time until the cycle before the last counts as waiting for a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When the search began or resumed.
    began_at: MachineTime,
    /// When the wait for a driver ended.
    matchable_at: MachineTime,
}

impl Wait {
    /// `left_out_at` is the start of the last cycle that had no driver for the trip; `triggered_at` is the event that started this one.
    pub fn new(began_at: MachineTime, left_out_at: Option<MachineTime>, triggered_at: MachineTime) -> Self {
        // A trip that no cycle left out has not waited for a driver: it came with the event, or while a cycle ran.
        let matchable_at = left_out_at.map_or(began_at, |left_out_at| left_out_at.max(triggered_at).max(began_at));
        Self { began_at, matchable_at }
    }

    /// A wait whose driver was found before, in a cycle that could not write the offer.
    pub fn since(began_at: MachineTime, matchable_at: MachineTime) -> Self {
        Self { began_at, matchable_at }
    }

    /// When the wait for a driver ended.
    pub fn matchable_at(&self) -> MachineTime {
        self.matchable_at
    }

    /// How long the trip waited for a driver.
    pub fn for_driver(&self) -> TimeDelta {
        self.matchable_at.since(self.began_at)
    }

    /// How long it waited for the service, until its offer was written.
    pub fn for_service(&self, offered_at: MachineTime) -> TimeDelta {
        offered_at.since(self.matchable_at)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(ms: i64) -> MachineTime {
        MachineTime::new(DateTime::from_timestamp_millis(1_000_000 + ms).expect("in range"))
    }

    fn split(began: i64, left_out: Option<i64>, triggered: i64, offered: i64) -> (i64, i64) {
        let wait = Wait::new(at(began), left_out.map(at), at(triggered));
        (wait.for_driver().num_milliseconds(), wait.for_service(at(offered)).num_milliseconds())
    }

    #[test]
    fn trip_that_no_cycle_left_out_waits_for_the_service_alone() {
        assert_eq!(split(0, None, 3, 12), (0, 12));
    }

    #[test]
    fn trip_waits_for_a_driver_until_the_event_that_starts_the_cycle() {
        assert_eq!(split(0, Some(1_000), 5_000, 5_010), (5_000, 10));
    }

    #[test]
    fn trip_left_out_after_the_event_waits_for_a_driver_until_then() {
        assert_eq!(split(0, Some(1_000), 900, 1_070), (1_000, 70));
    }

    #[test]
    fn wait_for_the_service_goes_on_while_the_offer_cannot_be_written() {
        let first = Wait::new(at(0), Some(at(1_000)), at(5_000));
        let later = Wait::since(at(0), first.matchable_at());
        assert_eq!(later.for_driver().num_milliseconds(), 5_000);
        assert_eq!(later.for_service(at(305_000)).num_milliseconds(), 300_000);
    }

    #[test]
    fn search_that_resumed_after_the_event_has_no_negative_wait() {
        assert_eq!(split(50, Some(20), 30, 80), (0, 30));
    }
}
