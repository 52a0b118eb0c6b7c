//! Merging k sorted lists: a heap with the head of each list.
//!
//! Time O(k + e log k) for e entries taken, memory O(k) beside the input. Only the entries that are needed are looked at.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt::Write;
use std::io::Read;

/// Returns the `wanted` nearest drivers of all shards as (distance, driver), each driver once.
fn nearest(shards: &[Vec<(u64, u64)>], wanted: usize) -> Vec<(u64, u64)> {
    // Tuples compare from the left, so equal distances are in order of the driver.
    let head = |shard: usize, place: usize| shards[shard].get(place).map(|entry| Reverse((*entry, shard, place)));
    let mut heads: BinaryHeap<_> = (0..shards.len()).filter_map(|shard| head(shard, 0)).collect();
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    while found.len() < wanted {
        let Some(Reverse((entry, shard, place))) = heads.pop() else { break };
        heads.extend(head(shard, place + 1));
        if seen.insert(entry.1) {
            found.push(entry);
        }
    }
    found
}

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut lines =
        input.lines().map(|line| line.split_ascii_whitespace().map(|word| word.parse::<u64>().expect("a number")));
    let first: Vec<u64> = lines.next().expect("the first line").collect();
    let mut shards: Vec<Vec<(u64, u64)>> = Vec::new();
    for line in lines {
        let numbers: Vec<u64> = line.skip(1).collect();
        shards.push(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
    }
    let found = nearest(&shards, first[1] as usize);
    let mut output = String::new();
    for (distance, driver) in &found {
        writeln!(output, "{distance} {driver}").expect("written");
    }
    print!("{}", if found.is_empty() { "none\n" } else { &output });
    Ok(())
}
