//! Chance, made from the seed: everybody has dice of their own, so that one's luck never changes another's.

use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// The dice of one actor. The same seed and name throw the same numbers.
pub(crate) fn dice(seed: u64, actor: &str) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(actor.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}
