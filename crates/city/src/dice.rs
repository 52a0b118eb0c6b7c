//! Chance, made from the seed: each actor has dice of its own, so one actor's luck never changes another's.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

/// The dice of one actor. The same seed and name throw the same numbers.
pub(crate) fn dice(seed: u64, actor: &str) -> StdRng {
    StdRng::seed_from_u64(fold(seed, actor))
}

/// The id of one actor on the wire (`drv_01jd…`), the same for the same seed and name.
///
/// It is a UUIDv7 as far as its bits go, with `born_ms` (Unix milliseconds) as its time.
pub(crate) fn identity(prefix: &str, seed: u64, actor: &str, born_ms: u64) -> String {
    let mut random = [0_u8; 10];
    dice(seed, &format!("{prefix}/{actor}")).fill_bytes(&mut random);
    let uuid: Uuid = uuid::Builder::from_unix_timestamp_millis(born_ms, &random).into_uuid();
    match DynamicType::new(prefix) {
        Ok(prefix) => TypeSafeId::from_type_and_uuid(prefix, uuid).to_string(),
        // Prefixes are constants of this crate; a bad one would be refused by the service at the first call.
        Err(_) => uuid.to_string(),
    }
}

/// FNV-1a over seed and name. The standard library's hasher may change from release to release; a seed should not.
fn fold(seed: u64, actor: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(actor.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_is_the_same_actor_and_another_is_not() {
        assert_eq!(identity("rdr", 1, "7", 0), identity("rdr", 1, "7", 0));
        assert_ne!(identity("rdr", 1, "7", 0), identity("rdr", 2, "7", 0));
        assert_ne!(identity("rdr", 1, "7", 0), identity("rdr", 1, "8", 0));
        assert!(identity("rdr", 1, "7", 0).starts_with("rdr_") && identity("rdr", 1, "7", 0).len() == 30);
    }
}
