//! Merging k sorted lists.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Input, LARGE, SMALL_CASES, VALUE_MAX, joined, numbers};

/// Shards of the large case.
const SHARDS: usize = 2_000;

/// Drivers wanted in the large case: half of the entries.
const WANTED: usize = LARGE / 2;

/// A shard: distances and drivers.
type Shard = Vec<(i64, i64)>;

pub(super) fn inputs(rng: &mut StdRng) -> Vec<Input> {
    let fixed: [(&str, usize, Vec<Shard>); 6] = [
        ("every list is empty", 3, vec![vec![], vec![]]),
        ("one list", 2, vec![vec![(1, 10), (4, 2), (9, 7)]]),
        ("fewer drivers than wanted", 5, vec![vec![(3, 1)], vec![(2, 2)]]),
        ("equal distances: the smaller driver comes first", 2, vec![vec![(5, 9)], vec![(5, 3)], vec![(5, 6)]]),
        ("a driver that two lists have", 2, vec![vec![(1, 7), (8, 4)], vec![(2, 7), (9, 5)]]),
        ("distances and drivers at their limits", 2, vec![vec![(0, VALUE_MAX)], vec![(VALUE_MAX, 1)]]),
    ];
    let mut inputs: Vec<Input> = Vec::new();
    for (what, wanted, shards) in &fixed[..5] {
        inputs.push(input(what, *wanted, shards));
    }
    for _ in 0..SMALL_CASES {
        let shards: Vec<Shard> = (0..rng.random_range(1..=4)).map(|_| shard(rng, 4, (20, 9))).collect();
        inputs.push(input("small random lists", rng.random_range(1..=6), &shards));
    }
    let (what, wanted, shards) = &fixed[5];
    inputs.push(input(what, *wanted, shards));
    let entries = LARGE / SHARDS;
    // Equal drivers in one shard are few among so many, and replaced by the loop of `shard`.
    let shards: Vec<Shard> = (0..SHARDS)
        .map(|_| {
            let mut shard = BTreeMap::new();
            while shard.len() < entries {
                shard.insert(rng.random_range(1..=1_000_000), rng.random_range(0..=VALUE_MAX));
            }
            sorted(shard)
        })
        .collect();
    inputs.push(input("many lists", WANTED, &shards));
    inputs
}

/// Returns a shard of up to `entries_max` entries.
fn shard(rng: &mut StdRng, entries_max: usize, (distance_max, driver_max): (i64, i64)) -> Shard {
    let entries = rng.random_range(0..=entries_max);
    let shard = (0..entries).map(|_| (rng.random_range(1..=driver_max), rng.random_range(0..=distance_max)));
    sorted(shard.collect())
}

/// Returns a shard of distances by driver.
fn sorted(distances: BTreeMap<i64, i64>) -> Shard {
    let mut shard: Shard = distances.into_iter().map(|(driver, distance)| (distance, driver)).collect();
    shard.sort_unstable();
    shard
}

fn input(what: &str, wanted: usize, shards: &[Shard]) -> Input {
    let mut text = format!("{} {wanted}\n", shards.len());
    for shard in shards {
        let pairs = shard.iter().flat_map(|(distance, driver)| [*distance, *driver]);
        let line = joined(i64::try_from(shard.len()).into_iter().chain(pairs));
        text.push_str(&line);
        text.push('\n');
    }
    (what.to_owned(), shards.iter().map(Vec::len).sum(), text)
}

pub(super) fn answer(input: &str) -> String {
    let mut lines = input.lines();
    let wanted = numbers(lines.next().unwrap_or_default()).nth(1).unwrap_or_default();
    let mut entries: Shard = Vec::new();
    for line in lines {
        let pairs: Vec<i64> = numbers(line).skip(1).collect();
        entries.extend(pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])));
    }
    entries.sort_unstable();
    let mut seen = BTreeSet::new();
    entries.retain(|(_, driver)| seen.insert(*driver));
    entries.truncate(usize::try_from(wanted).unwrap_or_default());
    if entries.is_empty() {
        return "none".to_owned();
    }
    entries.iter().map(|(distance, driver)| format!("{distance} {driver}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn generated_lists_are_sorted_and_name_a_driver_once() {
        for (_, _, text) in inputs(&mut random::generator(3, "test")) {
            for line in text.lines().skip(1) {
                let all: Vec<i64> = numbers(line).collect();
                let pairs: Shard = all[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                assert_eq!(all[0], i64::try_from(pairs.len()).expect("a count"));
                assert!(pairs.is_sorted(), "{line}");
                assert_eq!(pairs.iter().map(|(_, driver)| driver).collect::<BTreeSet<_>>().len(), pairs.len());
            }
        }
    }

    #[test]
    fn driver_of_two_lists_counts_once_at_the_shorter_distance() {
        assert_eq!(answer("2 2\n2 1 7 8 4\n2 2 7 9 5\n"), "1 7\n8 4");
        assert_eq!(answer("1 3\n0\n"), "none");
    }
}
