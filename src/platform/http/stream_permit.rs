//! The right to keep a stream open: one rule for server-sent events, WebSockets and the sandbox's live map.
//!
//! A stream holds a [`StreamPermit`]. It counts the streams of each caller and of the process, and it ends when the token expires or the
//! process shuts down: nothing is sent after that. What a stream may show is checked by its module each time it reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::Platform;
use crate::platform::auth::{Caller, VerifiedToken};
use crate::platform::error::{Code, Refusal, Result};

/// The most open streams of a caller: two devices with two streams each, and two broken connections not yet detected.
pub const STREAMS_PER_CALLER_MAX: usize = 6;

/// The most open streams without a caller, all of them together: live maps of the sandbox in the browser tabs of one machine.
pub const ANONYMOUS_STREAMS_MAX: usize = 32;

/// The most open streams of a process: enough for every driver and rider of a large city, and far below the 25,000 connections that
/// each HTTP worker accepts. It also bounds the query that reads the watched trips.
pub const STREAMS_MAX: usize = 10_000;

/// The service notices most broken connections within seconds, and all within a minute.
const RETRY_AFTER_S: u32 = 5;

/// Counts the open streams of the process.
#[derive(Debug, Clone, Default)]
pub struct StreamLimiter(Arc<Mutex<OpenStreams>>);

#[derive(Debug, Default)]
struct OpenStreams {
    total: usize,
    /// Of each caller that has any; `None` is the one entry of all streams without a caller.
    by_caller: HashMap<Option<Caller>, usize>,
}

impl StreamLimiter {
    /// Returns the number of open streams.
    pub fn open(&self) -> usize {
        self.lock().total
    }

    /// Counts one more stream until the returned value is dropped.
    fn acquire(&self, caller: Option<Caller>) -> Result<Counted> {
        let mut streams = self.lock();
        let of_caller = streams.by_caller.get(&caller).copied().unwrap_or(0);
        let refusal = match caller {
            _ if streams.total >= STREAMS_MAX => overloaded(STREAMS_MAX, "process", "streams"),
            None if of_caller >= ANONYMOUS_STREAMS_MAX => {
                overloaded(ANONYMOUS_STREAMS_MAX, "process", "streams without a token")
            }
            Some(_) if of_caller >= STREAMS_PER_CALLER_MAX => {
                let detail =
                    format!("You have {STREAMS_PER_CALLER_MAX} open streams, the most allowed. Close one first.");
                Refusal::new(Code::TooManyStreams, detail)
            }
            _ => {
                streams.total += 1;
                streams.by_caller.insert(caller, of_caller + 1);
                return Ok(Counted { limiter: self.clone(), caller });
            }
        };
        Err(refusal.retry_after(RETRY_AFTER_S).into())
    }

    fn lock(&self) -> MutexGuard<'_, OpenStreams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn overloaded(max: usize, whose: &str, what: &str) -> Refusal {
    Refusal::new(Code::Overloaded, format!("The {whose} has {max} open {what}, the most allowed. Try again later."))
}

/// One counted stream.
#[derive(Debug)]
struct Counted {
    limiter: StreamLimiter,
    caller: Option<Caller>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut streams = self.limiter.lock();
        streams.total = streams.total.saturating_sub(1);
        if let Entry::Occupied(mut open) = streams.by_caller.entry(self.caller) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// The right to keep one stream open.
#[derive(Debug)]
pub struct StreamPermit {
    platform: Platform,
    /// `None` for streams of the sandbox, which need no token.
    token: Option<VerifiedToken>,
    _counted: Counted,
}

/// Why the right to a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitEnd {
    /// The token has expired.
    TokenExpired,
    /// The process shuts down.
    Shutdown,
}

impl StreamPermit {
    /// Returns the permit for one stream of the token's caller.
    ///
    /// # Errors
    /// [`Code::TooManyStreams`] if the caller has the most open streams; [`Code::Overloaded`] if the process has.
    pub(super) fn acquire(platform: &Platform, token: Option<VerifiedToken>) -> Result<Self> {
        let counted = platform.streams.acquire(token.map(|token| token.caller))?;
        Ok(Self { platform: platform.clone(), token, _counted: counted })
    }

    /// Waits until the permit ends; returns at once if it has.
    pub async fn ended(&self) -> PermitEnd {
        tokio::select! {
            biased;
            () = self.platform.shutdown.cancelled() => PermitEnd::Shutdown,
            () = self.token_expired() => PermitEnd::TokenExpired,
        }
    }

    async fn token_expired(&self) {
        let Some(token) = self.token else { return pending().await };
        loop {
            let now = self.platform.clock.machine();
            if token.is_expired(now) {
                return;
            }
            tokio::time::sleep(token.time_left(now)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use uuid::Uuid;

    use super::*;
    use crate::platform::auth::Role;
    use crate::platform::error::Error;

    fn caller(number: u128) -> Option<Caller> {
        Some(Caller { role: Role::Rider, subject: Uuid::from_u128(number) })
    }

    fn refusal(limiter: &StreamLimiter, caller: Option<Caller>) -> Refusal {
        match limiter.acquire(caller) {
            Err(Error::Refused(refusal)) => *refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn seventh_stream_of_a_caller_is_refused_and_a_closed_one_is_released() {
        let limiter = StreamLimiter::default();
        let mut open: Vec<_> = (0..STREAMS_PER_CALLER_MAX).map(|_| limiter.acquire(caller(1)).unwrap()).collect();
        let refused = refusal(&limiter, caller(1));
        assert_eq!((refused.code, refused.retry_after_s), (Code::TooManyStreams, Some(RETRY_AFTER_S)));
        assert!(limiter.acquire(caller(2)).is_ok(), "other callers are not affected");
        open.pop();
        open.push(limiter.acquire(caller(1)).unwrap());
        assert_eq!(refusal(&limiter, caller(1)).code, Code::TooManyStreams);
        open.clear();
        assert!(limiter.open() == 0 && limiter.lock().by_caller.is_empty());
    }

    #[test]
    fn streams_of_the_process_are_limited_for_all_callers() {
        let limiter = StreamLimiter::default();
        let anonymous: Vec<_> = (0..ANONYMOUS_STREAMS_MAX).map(|_| limiter.acquire(None).unwrap()).collect();
        assert_eq!(refusal(&limiter, None).code, Code::Overloaded);
        let rest = (anonymous.len()..STREAMS_MAX).map(|number| limiter.acquire(caller(number as u128)).unwrap());
        let rest: Vec<_> = rest.collect();
        assert_eq!((limiter.open(), refusal(&limiter, caller(0)).code), (STREAMS_MAX, Code::Overloaded));
        drop((anonymous, rest));
        assert_eq!(limiter.open(), 0);
    }
}
