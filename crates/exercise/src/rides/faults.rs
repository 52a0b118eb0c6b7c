//! Which requests are struck, and how: a function of the seed, the rider, the path and the attempt, whatever the order of requests is.

use rand::RngExt;

use crate::random;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The service does the work, and the answer is lost.
    Lost,
    /// The service gets the request twice, and the second answer is the client's.
    Doubled,
    /// The answer comes late.
    Late,
}

/// The requests that are struck.
const STRUCK: [&str; 2] = ["/v1/quotes", "/v1/trips"];

/// Later attempts pass, so that a client that repeats itself comes to an end.
const ATTEMPTS_STRUCK: u32 = 3;

/// Decides what happens to the attempt (from 0 on) of a rider at a POST.
pub(super) fn fault(seed: u64, rider: usize, path: &str, attempt: u32) -> Option<Fault> {
    if !STRUCK.contains(&path) || attempt >= ATTEMPTS_STRUCK {
        return None;
    }
    // In percent.
    match random::generator(seed, &format!("rides {rider} {path} {attempt}")).random_range(0..100) {
        0..6 => Some(Fault::Lost),
        6..14 => Some(Fault::Doubled),
        14..22 => Some(Fault::Late),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_has_every_fault_and_lets_the_fourth_attempt_pass() {
        for seed in 1..=20 {
            let of =
                |attempt| (1..=200).filter_map(|rider| fault(seed, rider, "/v1/trips", attempt)).collect::<Vec<_>>();
            for kind in [Fault::Lost, Fault::Doubled, Fault::Late] {
                let count = of(0).into_iter().filter(|found| *found == kind).count();
                assert!((2..=40).contains(&count), "seed {seed}: {kind:?} {count}");
            }
            assert_eq!(of(0), of(0));
            assert!(of(3).is_empty());
        }
        assert_eq!(fault(1, 1, "/v1/drivers/me", 0), None);
    }
}
