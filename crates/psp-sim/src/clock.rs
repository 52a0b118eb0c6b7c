//! The one place where the time is read, and the one where dice are thrown: everything else is handed both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::{StdRng, SysError, SysRng};
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// A source of machine time. Tests pass one that they can move.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's own clock.
pub fn machine_clock() -> Clock {
    #[allow(clippy::disallowed_methods, reason = "this is where the time comes from")]
    Arc::new(SystemTime::now)
}

/// The machine's clock, moved so that it shows `start` now.
pub fn clock_starting_at(start: SystemTime) -> Clock {
    let machine = machine_clock();
    let begin = machine();
    // The machine's clock may be set back; elapsed time saturates at zero.
    Arc::new(move || start + machine().duration_since(begin).unwrap_or_default())
}

/// Milliseconds since 1970; zero before that.
pub fn unix_ms(time: SystemTime) -> i64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since 1970; zero before that.
pub fn unix_s(time: SystemTime) -> i64 {
    unix_ms(time) / 1000
}

/// What ids are made of. 24 characters of this are 142 bits, so that two are never the same.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS: usize = 24;

/// The dice: ids and jitter.
#[derive(Debug)]
pub struct Dice(Mutex<StdRng>);

impl Dice {
    /// Dice that fall the same way for the same seed and history. The history keeps a provider that is started again
    /// with its seed from giving out the same ids again.
    pub fn seeded(seed: u64, history: &str) -> Self {
        let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(history);
        Self(Mutex::new(StdRng::from_seed(digest.finalize().into())))
    }

    /// Dice thrown by the operating system.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn from_system() -> Result<Self, SysError> {
        Ok(Self(Mutex::new(StdRng::try_from_rng(&mut SysRng)?)))
    }

    /// A new id, `{prefix}_` and 24 letters and digits.
    pub fn id(&self, prefix: &str) -> String {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let letter = |_| char::from(ALPHABET[dice.random_range(0..ALPHABET.len())]);
        format!("{prefix}_{}", (0..ID_CHARS).map(letter).collect::<String>())
    }

    /// `full` shortened by up to a half, so that what failed together isn't tried again together.
    pub fn jittered(&self, full: Duration) -> Duration {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        full.mul_f64(dice.random_range(0.5..=1.0))
    }
}
