//! How many streams each driver has open in this process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::DriverId;

/// Streams that a driver may have open: a phone, another one, and some that are not known to be lost yet.
const PER_DRIVER_MAX: usize = 4;

/// A dead stream is found within a minute; most end sooner.
const RETRY_AFTER_S: u32 = 5;

/// The drivers who have streams open, each with how many.
#[derive(Debug, Clone, Default)]
pub struct Seats(Arc<Mutex<HashMap<DriverId, usize>>>);

impl Seats {
    /// Takes a seat, which is given back when it is dropped.
    ///
    /// # Errors
    /// [`Code::RateLimited`] if all of the driver's are taken.
    pub(super) fn take(&self, driver: DriverId) -> Result<Seat> {
        let mut all = self.lock();
        let taken = all.entry(driver).or_insert(0);
        if *taken >= PER_DRIVER_MAX {
            let detail = format!("{PER_DRIVER_MAX} streams of yours are open. Close one of them.");
            return Err(Refusal::new(Code::RateLimited, detail).retry_after(RETRY_AFTER_S).into());
        }
        *taken += 1;
        Ok(Seat { seats: self.clone(), driver })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DriverId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream of a driver.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    driver: DriverId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = self.seats.lock().entry(self.driver) {
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
    fn a_driver_has_four_seats_and_one_who_has_left_is_forgotten() {
        let (seats, driver) = (Seats::default(), DriverId::from(Uuid::from_u128(1)));
        let mut taken: Vec<_> = (0..PER_DRIVER_MAX).map(|_| seats.take(driver).unwrap()).collect();
        assert!(seats.take(driver).is_err());
        assert!(seats.take(DriverId::from(Uuid::from_u128(2))).is_ok(), "another driver has his own");
        taken.pop();
        taken.push(seats.take(driver).unwrap());
        assert!(seats.take(driver).is_err());
        taken.clear();
        assert!(seats.lock().is_empty());
    }
}
