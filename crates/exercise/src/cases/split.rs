//! A fare split.

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Input, LARGE, SMALL_CASES, VALUE_MAX, joined, numbers};

pub(super) fn inputs(rng: &mut StdRng) -> Vec<Input> {
    let fixed: [(&str, i64, &[i64]); 8] = [
        ("one rider", 999, &[3]),
        ("no rider", 500, &[]),
        ("every distance is 0", 100, &[0, 0, 0]),
        ("one distance is 0", 100, &[0, 1, 1]),
        ("a fare of 0", 0, &[1, 2]),
        ("a refund", -100, &[1, 1, 1]),
        ("equal remainders: the earlier rider pays the cent", 10, &[1, 1, 1, 1]),
        ("fewer cents than riders", 2, &[1, 1, 1, 1, 1]),
    ];
    let mut inputs: Vec<Input> = fixed.into_iter().map(|(what, cents, weights)| input(what, cents, weights)).collect();
    for _ in 0..SMALL_CASES {
        let weights: Vec<i64> = (0..rng.random_range(1..=6)).map(|_| rng.random_range(0..=9)).collect();
        inputs.push(input("a small random fare", rng.random_range(-200..=2_000), &weights));
    }
    inputs.push(input("fare and distances at their limits", VALUE_MAX, &[VALUE_MAX, VALUE_MAX - 1, 1]));
    let weights: Vec<i64> = (0..LARGE).map(|_| rng.random_range(1..=VALUE_MAX)).collect();
    inputs.push(input("many riders", VALUE_MAX - 1, &weights));
    inputs
}

fn input(what: &str, cents: i64, weights: &[i64]) -> Input {
    (what.to_owned(), weights.len(), format!("{cents}\n{}\n", joined(weights)))
}

pub(super) fn answer(input: &str) -> String {
    let (cents, weights) = input.split_once('\n').unwrap_or((input, ""));
    let cents = i128::from(cents.trim().parse::<i64>().unwrap_or_default());
    let mut weights: Vec<i128> = numbers(weights).map(i128::from).collect();
    if weights.is_empty() {
        return "none".to_owned();
    }
    if weights.iter().all(|weight| *weight == 0) {
        weights.fill(1);
    }
    let (amount, total) = (cents.abs(), weights.iter().sum::<i128>());
    let mut shares: Vec<i128> = weights.iter().map(|weight| amount * weight / total).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|rider| (std::cmp::Reverse(amount * weights[*rider] % total), *rider));
    let left = amount - shares.iter().sum::<i128>();
    for rider in order.into_iter().take(usize::try_from(left).unwrap_or_default()) {
        shares[rider] += 1;
    }
    shares.iter().map(|share| (share * cents.signum()).to_string()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn shares_sum_to_the_fare_and_are_at_most_a_cent_from_the_proportion() {
        for seed in 0..5 {
            for (what, n, input) in inputs(&mut random::generator(seed, "test")).into_iter().filter(|one| one.1 > 0) {
                let answer = answer(&input);
                let shares: Vec<i128> = numbers(&answer).map(i128::from).collect();
                let all: Vec<i128> = numbers(&input).map(i128::from).collect();
                let (cents, weights) = (all[0], &all[1..]);
                assert_eq!((shares.len(), shares.iter().sum::<i128>()), (n, cents), "{what}: {input:.100}");
                let total: i128 = weights.iter().sum();
                for (share, weight) in shares.iter().zip(weights).filter(|_| total > 0) {
                    assert!((share * total - cents * weight).abs() < total, "{what}: {input:.100}");
                }
            }
        }
    }

    #[test]
    fn sum_of_0_is_shared_equally_and_a_refund_mirrors_the_fare() {
        assert_eq!(answer("100\n0 0 0\n"), "34\n33\n33");
        assert_eq!(answer("-100\n1 1 1\n"), "-34\n-33\n-33");
        assert_eq!(answer("5\n\n"), "none");
    }
}
