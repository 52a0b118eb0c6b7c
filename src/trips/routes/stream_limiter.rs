//! Limits the open streams of each driver in this process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::DriverId;

/// The most open streams of a driver: two phones, and two broken connections not yet detected.
const PER_DRIVER_MAX: usize = 4;

/// Most broken streams end within seconds, and all within a minute.
const RETRY_AFTER_S: u32 = 5;

/// The number of open streams of each driver that has any.
#[derive(Debug, Clone, Default)]
pub struct StreamLimiter(Arc<Mutex<HashMap<DriverId, usize>>>);

impl StreamLimiter {
    /// Returns a permit for one stream, released on drop.
    ///
    /// # Errors
    /// [`Code::RateLimited`] if the driver has the most streams open.
    pub(super) fn acquire(&self, driver: DriverId) -> Result<StreamPermit> {
        let mut all = self.lock();
        let taken = all.entry(driver).or_insert(0);
        if *taken >= PER_DRIVER_MAX {
            let detail = format!("The driver has {PER_DRIVER_MAX} open streams, the most allowed. Close one first.");
            return Err(Refusal::new(Code::RateLimited, detail).retry_after(RETRY_AFTER_S).into());
        }
        *taken += 1;
        Ok(StreamPermit { limiter: self.clone(), driver })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DriverId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit for one open stream.
#[derive(Debug)]
pub(super) struct StreamPermit {
    limiter: StreamLimiter,
    driver: DriverId,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = self.limiter.lock().entry(self.driver) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use uuid::Uuid;

    use super::*;

    #[test]
    fn fifth_stream_is_refused_and_closed_streams_are_released() {
        let (limiter, driver) = (StreamLimiter::default(), DriverId::from(Uuid::from_u128(1)));
        let mut permits: Vec<_> = (0..PER_DRIVER_MAX).map(|_| limiter.acquire(driver).unwrap()).collect();
        assert!(limiter.acquire(driver).is_err());
        assert!(limiter.acquire(DriverId::from(Uuid::from_u128(2))).is_ok(), "other drivers are not affected");
        permits.pop();
        permits.push(limiter.acquire(driver).unwrap());
        assert!(limiter.acquire(driver).is_err());
        permits.clear();
        assert!(limiter.lock().is_empty());
    }
}
