//! Random numbers from the seed. Each purpose and run has a generator of its own, so one lab's draws never change another's.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// Returns the generator of one purpose in one run. The same arguments give the same numbers.
pub(crate) fn generator(seed: u64, purpose: &str, run: u32) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(run.to_le_bytes());
    hash.update(purpose.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}

/// Returns a number between 0 and 1, never 1.
pub(crate) fn unit(rng: &mut StdRng) -> f64 {
    rng.random_range(0.0..1.0)
}

/// Returns an exponentially distributed number: the gap between two events that happen at random, `mean` apart on average.
pub(crate) fn exponential(rng: &mut StdRng, mean: f64) -> f64 {
    -mean * (1.0 - unit(rng)).ln()
}

/// Returns the times of a Poisson process with `rate` events per second, in seconds below `until_s`, in order.
pub(crate) fn arrivals(rng: &mut StdRng, rate: f64, until_s: f64) -> Vec<f64> {
    let mut times = Vec::new();
    let mut at_s = exponential(rng, 1.0 / rate);
    while at_s < until_s {
        times.push(at_s);
        at_s += exponential(rng, 1.0 / rate);
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_the_same_arrivals() {
        let of = |seed, run| arrivals(&mut generator(seed, "test", run), 100.0, 10.0);
        assert_eq!(of(1, 0), of(1, 0));
        assert_ne!(of(1, 0), of(2, 0));
        assert_ne!(of(1, 0), of(1, 1));
        assert!((800..1_200).contains(&of(1, 0).len()));
    }
}
