//! The random numbers: ids and jitter.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::{StdRng, SysError, SysRng};
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// The characters of an id. 24 of them are 142 bits, enough that no two ids are equal.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS: usize = 24;

/// A source of random numbers, shared by threads.
#[derive(Debug)]
pub struct RandomSource(Mutex<StdRng>);

impl RandomSource {
    /// A source that repeats its numbers for the same seed and history. With the history, a provider that restarts with
    /// its seed does not repeat its ids.
    pub fn seeded(seed: u64, history: &str) -> Self {
        let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(history);
        Self(Mutex::new(StdRng::from_seed(digest.finalize().into())))
    }

    /// A source seeded by the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn from_system() -> Result<Self, SysError> {
        Ok(Self(Mutex::new(StdRng::try_from_rng(&mut SysRng)?)))
    }

    /// Returns a new id: `{prefix}_` and 24 letters and digits.
    pub fn id(&self, prefix: &str) -> String {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = |_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]);
        format!("{prefix}_{}", (0..ID_CHARS).map(letter).collect::<String>())
    }

    /// Returns 50 to 100 % of `full`, so that calls that failed together are not retried together.
    pub fn jittered(&self, full: Duration) -> Duration {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        full.mul_f64(random.random_range(0.5..=1.0))
    }
}
