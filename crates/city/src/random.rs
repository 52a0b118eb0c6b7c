//! Random numbers from the seed. Each actor has its own sequence, so that actors do not affect each other.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

/// The random numbers of an actor, the same for the same seed and name.
pub(crate) fn seeded_random(seed: u64, actor: &str) -> StdRng {
    StdRng::seed_from_u64(fold(seed, actor))
}

/// The id of an actor (`drv_01jd…`), the same for the same seed and name.
///
/// It has the bits of a UUIDv7, with `time_ms` (Unix milliseconds) as its time.
pub(crate) fn actor_id(prefix: &str, seed: u64, actor: &str, time_ms: u64) -> String {
    let mut bytes = [0_u8; 10];
    seeded_random(seed, &format!("{prefix}/{actor}")).fill_bytes(&mut bytes);
    let uuid: Uuid = uuid::Builder::from_unix_timestamp_millis(time_ms, &bytes).into_uuid();
    match DynamicType::new(prefix) {
        Ok(prefix) => TypeSafeId::from_type_and_uuid(prefix, uuid).to_string(),
        // Prefixes are constants of this crate; the service would reject a wrong one.
        Err(_) => uuid.to_string(),
    }
}

/// FNV-1a over seed and name. The hasher of the standard library may change between releases.
fn fold(seed: u64, actor: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(actor.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_and_name_give_the_same_actor() {
        assert_eq!(actor_id("rdr", 1, "7", 0), actor_id("rdr", 1, "7", 0));
        assert_ne!(actor_id("rdr", 1, "7", 0), actor_id("rdr", 2, "7", 0));
        assert_ne!(actor_id("rdr", 1, "7", 0), actor_id("rdr", 1, "8", 0));
        assert!(actor_id("rdr", 1, "7", 0).starts_with("rdr_") && actor_id("rdr", 1, "7", 0).len() == 30);
    }
}
