//! Random numbers from the seed. Each actor has a generator of its own, so one actor's draws never change another's.

use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// Returns the generator of one actor. The same seed and name give the same numbers.
pub(crate) fn random(seed: u64, actor: &str) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(actor.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}
