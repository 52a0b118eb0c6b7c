//! The only source of chance: ids, PINs, secrets, jitter. Whoever needs some is handed it, so that decisions stay functions of their input.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::{Builder, Uuid};

use super::clock::MachineTime;
use super::ids::Id;

/// A random generator that everybody in the process shares.
#[derive(Debug)]
pub struct Dice(Mutex<StdRng>);

impl Dice {
    /// Seeded by the operating system.
    #[expect(clippy::disallowed_methods, reason = "these are the dice")]
    pub fn new() -> Self {
        Self(Mutex::new(StdRng::from_rng(&mut rand::rng())))
    }

    /// A new id of any kind, a UUIDv7 that sorts by the moment of its making.
    pub fn id<T: Id>(&self, now: MachineTime) -> T {
        T::from(self.uuid(now))
    }

    /// A new UUIDv7.
    pub fn uuid(&self, now: MachineTime) -> Uuid {
        let millis = u64::try_from(now.utc().timestamp_millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &self.with(|rng| rng.random())).into_uuid()
    }

    /// A rider's PIN: four digits, each as likely as the next.
    pub fn pin(&self) -> String {
        format!("{:04}", self.with(|rng| rng.random_range(0..10_000)))
    }

    /// A secret that nobody can guess: 256 bits.
    pub fn secret(&self) -> [u8; 32] {
        self.with(|rng| rng.random())
    }

    /// A time between half of `delay` and all of it, so that those who failed together do not come back together.
    pub fn jitter(&self, delay: Duration) -> Duration {
        delay.mul_f64(self.with(|rng| rng.random_range(0.5..=1.0)))
    }

    fn with<T>(&self, roll: impl FnOnce(&mut StdRng) -> T) -> T {
        roll(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
