//! A fare split by the method of the largest remainder.
//!
//! Time O(n log n) for the order of the remainders, memory O(n).

use std::cmp::Reverse;
use std::fmt::Write;
use std::io::Read;

/// Returns the share of each rider in cents. The shares sum to `cents`.
fn split(cents: i64, mut weights: Vec<i64>) -> Vec<i64> {
    if weights.iter().all(|weight| *weight == 0) {
        // All rode 0 m: the sum is 0, and there is nothing to be in proportion to.
        weights.fill(1);
    }
    // A product is at most 10^18, and the sum of 200,000 weights 2 * 10^14: both fit.
    let (amount, total) = (cents.abs(), weights.iter().sum::<i64>());
    let mut shares: Vec<i64> = weights.iter().map(|weight| amount * weight / total).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // The sort is stable: of equal remainders, the earlier rider comes first.
    order.sort_by_key(|rider| Reverse(amount * weights[*rider] % total));
    let left = amount - shares.iter().sum::<i64>();
    for rider in order.into_iter().take(left as usize) {
        shares[rider] += 1;
    }
    shares.into_iter().map(|share| cents.signum() * share).collect()
}

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut numbers = input.split_ascii_whitespace().map(|word| word.parse::<i64>().expect("a number"));
    let cents = numbers.next().expect("the fare");
    let shares = split(cents, numbers.collect());
    let mut output = String::new();
    for share in &shares {
        writeln!(output, "{share}").expect("written");
    }
    print!("{}", if shares.is_empty() { "none\n" } else { &output });
    Ok(())
}
