//! Random numbers from the seed. Each purpose has a generator of its own, so one exercise's draws never change another's.

use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// Returns the generator of one purpose. The same arguments give the same numbers.
pub(crate) fn generator(seed: u64, purpose: &str) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}
