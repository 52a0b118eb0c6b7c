//! The only source of randomness: ids, PINs, secrets, jitter. Decisions take random values as arguments, so that they stay pure.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::{Builder, Uuid};

use super::clock::MachineTime;
use super::ids::Id;

/// The random number generator of a process.
#[derive(Debug)]
pub struct RandomSource(Mutex<StdRng>);

impl RandomSource {
    /// Creates a generator seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "the only place that creates a generator")]
    pub fn new() -> Self {
        Self(Mutex::new(StdRng::from_rng(&mut rand::rng())))
    }

    /// Returns a new id, a UUIDv7, which sorts by time of creation.
    pub fn id<T: Id>(&self, now: MachineTime) -> T {
        T::from(self.uuid(now))
    }

    /// Returns a new UUIDv7.
    pub fn uuid(&self, now: MachineTime) -> Uuid {
        let millis = u64::try_from(now.utc().timestamp_millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.with(|rng| rng.random())).into_uuid()
    }

    /// Returns a PIN of four uniformly distributed digits.
    pub fn pin(&self) -> String {
        format!("{:04}", self.with(|rng| rng.random_range(0..10_000)))
    }

    /// Returns a secret of 256 bits.
    pub fn secret(&self) -> [u8; 32] {
        self.with(|rng| rng.random())
    }

    /// Returns a duration between half of `delay` and all of it, so that simultaneous failures do not retry simultaneously.
    pub fn jitter(&self, delay: Duration) -> Duration {
        delay.mul_f64(self.with(|rng| rng.random_range(0.5..=1.0)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for RandomSource {
    fn default() -> Self {
        Self::new()
    }
}
