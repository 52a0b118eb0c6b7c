//! Trending zones over a sliding window: counts that events enter and leave.
//!
//! Time O(e log e + q z log z) for e events, q questions and z zones in the window, because it sorts; memory O(e).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let mut numbers = input.split_ascii_whitespace().map(|word| word.parse::<i64>().expect("a number"));
    let mut next = || numbers.next().expect("one more number");
    let (k, window, servers) = (next(), next(), next());
    let mut events = Vec::new();
    for _ in 0..servers {
        for _ in 0..next() {
            events.push((next(), next()));
        }
    }
    // Sorted logs one after the other: the sort of the standard library finds the runs and merges them.
    events.sort();
    let (mut first, mut end) = (0, 0);
    let mut counts: HashMap<i64, i64> = HashMap::new();
    let mut output = String::new();
    for _ in 0..next() {
        let now = next();
        while end < events.len() && events[end].0 <= now {
            *counts.entry(events[end].1).or_default() += 1;
            end += 1;
        }
        while first < end && events[first].0 <= now - window {
            let zone = events[first].1;
            let count = counts.get_mut(&zone).expect("a zone of the window");
            *count -= 1;
            if *count == 0 {
                // A zone without requests is not in the answer, and takes no memory.
                counts.remove(&zone);
            }
            first += 1;
        }
        let mut best: Vec<(i64, i64)> = counts.iter().map(|(zone, count)| (*zone, *count)).collect();
        best.sort_unstable_by_key(|(zone, count)| (Reverse(*count), *zone));
        best.truncate(k as usize);
        let line: Vec<String> = best.iter().map(|(zone, count)| format!("{zone}:{count}")).collect();
        output += if line.is_empty() { "-" } else { "" };
        output += &line.join(" ");
        output += "\n";
    }
    std::io::stdout().write_all(output.as_bytes())
}
