//! Which partner's page is open, by its last request. In memory: after a restart a page that is open says so within seconds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::platform::clock::MachineTime;

/// A page that has not asked for this long is closed, seconds. It asks every two; a phone that changes cells may miss some.
pub const AWAY_S: i64 = 15;

/// The most sessions whose partners are remembered.
const SESSIONS_MAX: usize = 256;

/// The partners' pages.
#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<String, Sign>>);

/// The last sign of life of a page.
#[derive(Debug)]
struct Sign {
    page: String,
    at: MachineTime,
}

/// Another page has the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupied {
    /// Seconds until it is free, if that page is closed now.
    pub free_in_s: i64,
}

impl Presence {
    /// Notes a request of a partner's page. Two pages on one link would tick for one partner, so that only one is admitted.
    ///
    /// # Errors
    /// If another page has asked lately.
    pub fn arrive(&self, session: &str, page: &str, now: MachineTime) -> Result<(), Occupied> {
        let mut signs = self.hold();
        if let Some(sign) = signs.get(session).filter(|sign| sign.page != page) {
            let free_in_s = AWAY_S - now.seconds_since(sign.at);
            if free_in_s > 0 {
                return Err(Occupied { free_in_s });
            }
        }
        if signs.len() >= SESSIONS_MAX && !signs.contains_key(session) {
            let oldest = signs.iter().min_by_key(|(_, sign)| sign.at).map(|(session, _)| session.clone());
            if let Some(oldest) = oldest {
                signs.remove(&oldest);
            }
        }
        signs.insert(session.to_owned(), Sign { page: page.to_owned(), at: now });
        Ok(())
    }

    /// Whether the partner's page of a session is open.
    pub fn is_present(&self, session: &str, now: MachineTime) -> bool {
        self.hold().get(session).is_some_and(|sign| now.seconds_since(sign.at) < AWAY_S)
    }

    fn hold(&self) -> MutexGuard<'_, BTreeMap<String, Sign>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
