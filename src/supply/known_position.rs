//! What is known of one driver's last position, in any process.

use chrono::{DateTime, TimeDelta};

use super::{LastKnown, Supply, store};
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::DriverId;
use crate::platform::leader::Term;

/// The last position of a driver, and until when it is known to be the last.
///
/// The matcher knows until now. Another process knows until the checkpoint: the driver may have sent more since. So a checkpoint can
/// prove that a driver was somewhere, and that they sent nothing until it was saved; it cannot prove where they are not.
#[derive(Debug, Clone, Copy)]
pub struct KnownPosition {
    /// The driver.
    pub driver: DriverId,
    /// The last position received until `until`; `None` if there is none since the driver came online.
    pub last: Option<LastKnown>,
    /// Every position received before this time is considered.
    pub until: DomainTime,
    /// The epoch of the matcher that knows it from memory; `None` if it is from the checkpoint.
    pub epoch: Option<i64>,
}

impl KnownPosition {
    /// Returns whether no newer position can exist: it is from the memory of the process that is the matcher in this term.
    pub fn is_current(&self, term: &Term) -> bool {
        self.epoch == Some(term.epoch)
    }

    /// Returns for how long the driver had sent no position, at the end of what is known.
    ///
    /// Counted from `from` and from the matcher's start at the earliest. A former matcher knows nothing: the driver sends to another.
    pub fn silence(&self, from: Option<DomainTime>, term: &Term) -> TimeDelta {
        let until = if self.epoch.is_none() || self.is_current(term) { self.until } else { term.since };
        let received_at = self.last.map(|last| last.received_at);
        let last_seen = received_at.into_iter().chain(from).fold(term.since, DomainTime::max);
        until.since(last_seen)
    }
}

/// Returns what is known of a driver: from memory in the matcher, from the checkpoint in other processes.
///
/// # Errors
/// If the database does not answer.
pub async fn known_position(platform: &Platform, supply: &Supply, driver: DriverId) -> Result<KnownPosition> {
    let now = platform.clock.domain();
    if let (Some(epoch), Some(last)) = (platform.leadership.epoch(), supply.last_position(driver)) {
        return Ok(KnownPosition { driver, last, until: now, epoch: Some(epoch) });
    }
    let saved = platform.db.read(driver, |conn, driver| Box::pin(store::saved_position(conn, *driver))).await?;
    let (until, last) = saved.unwrap_or((DomainTime::new(DateTime::UNIX_EPOCH), None));
    Ok(KnownPosition { driver, last, until, epoch: None })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::geo::Position;

    const TERM: i64 = 7;

    fn at(seconds: i64) -> DomainTime {
        DomainTime::new(DateTime::from_timestamp(seconds, 0).unwrap())
    }

    /// Known until 1,000 s.
    fn known(received_s: Option<i64>, epoch: Option<i64>) -> KnownPosition {
        let driver = DriverId::from(Uuid::from_u128(1));
        let last = received_s.map(|s| LastKnown {
            driver,
            position: Position::new(1.0, 2.0).unwrap(),
            recorded_at: at(0),
            received_at: at(s),
        });
        KnownPosition { driver, last, until: at(1_000), epoch }
    }

    #[test]
    fn silence_counts_from_the_last_position_the_assignment_or_the_election() {
        for epoch in [None, Some(TERM)] {
            let silence_s = |received_s, from, since_s| {
                let term = Term { epoch: TERM, since: at(since_s) };
                known(received_s, epoch).silence(Option::map(from, at), &term).num_seconds()
            };
            assert_eq!(silence_s(Some(900), None, 0), 100);
            assert_eq!(silence_s(None, None, 700), 300);
            assert_eq!(silence_s(Some(500), Some(850), 700), 150);
            assert_eq!(silence_s(Some(500), Some(550), 600), 400);
            assert_eq!(silence_s(Some(500), None, 1_200), 0, "an election after the checkpoint");
        }
    }

    #[test]
    fn memory_of_a_former_matcher_proves_no_silence() {
        let term = Term { epoch: TERM, since: at(100) };
        let former = known(Some(50), Some(TERM - 1));
        assert_eq!(former.silence(None, &term), TimeDelta::zero());
        assert!(!former.is_current(&term));
    }

    #[test]
    fn only_the_memory_of_the_matcher_is_current() {
        let term = Term { epoch: TERM, since: at(0) };
        assert!(known(None, Some(TERM)).is_current(&term));
        assert!(!known(None, None).is_current(&term));
    }
}
