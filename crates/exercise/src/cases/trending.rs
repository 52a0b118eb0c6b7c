//! Trending zones over a sliding window.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{Input, LARGE, SMALL_CASES, VALUE_MAX, joined, numbers};

/// The large case: servers, zones, questions, seconds.
const SERVERS: usize = 8;
const ZONES: i64 = 200;
const QUESTIONS: usize = 500;
const SECONDS: i64 = 1_000_000;

/// What a server has seen: times and zones.
type Log = Vec<(i64, i64)>;

/// What is asked, and the logs that have the answer.
struct Question<'a> {
    k: i64,
    window: i64,
    servers: Vec<Log>,
    times: &'a [i64],
}

pub(super) fn inputs(rng: &mut StdRng) -> Vec<Input> {
    let mut inputs = fixed();
    for _ in 0..SMALL_CASES {
        let servers = (0..rng.random_range(1..=3)).map(|_| {
            let events = rng.random_range(0..=8);
            events_of(rng, events, (20, 4))
        });
        let servers = servers.collect();
        let (k, window) = (rng.random_range(1..=3), rng.random_range(1..=10));
        let count = rng.random_range(1..=4);
        let times = times_of(rng, count, 30);
        inputs.push(input("small random events", &Question { k, window, servers, times: &times }));
    }
    let late = vec![vec![(1, VALUE_MAX), (VALUE_MAX, 1)], vec![(VALUE_MAX - 1, 2)]];
    let times = [VALUE_MAX - 1, VALUE_MAX];
    inputs.push(input("times at their limit", &Question { k: 2, window: 100, servers: late, times: &times }));
    let servers = (0..SERVERS).map(|_| events_of(rng, LARGE / SERVERS, (SECONDS, ZONES))).collect();
    let times = times_of(rng, QUESTIONS, SECONDS);
    inputs.push(input("many events", &Question { k: 10, window: SECONDS / 10, servers, times: &times }));
    inputs
}

/// What it is about, `k` and the window, the servers' events, and the questions.
type Fixed = (&'static str, (i64, i64), Vec<Log>, &'static [i64]);

fn fixed() -> Vec<Input> {
    let fixed: [Fixed; 6] = [
        ("no event", (3, 10), vec![vec![]], &[5]),
        ("no question", (3, 10), vec![vec![(1, 1)]], &[]),
        ("an event later than the question", (1, 10), vec![vec![(9, 4)]], &[5]),
        ("an event that leaves the window", (2, 10), vec![vec![(1, 1), (5, 2)]], &[10, 11]),
        ("equal counts: the smaller zone comes first", (2, 10), vec![vec![(1, 8), (2, 3), (3, 5)]], &[4]),
        (
            "a zone that is second on every server",
            (1, 10),
            vec![vec![(1, 1), (1, 1), (1, 1), (2, 2), (2, 2)], vec![(1, 3), (1, 3), (1, 3), (2, 2), (2, 2)]],
            &[5],
        ),
    ];
    fixed
        .into_iter()
        .map(|(what, (k, window), servers, times)| input(what, &Question { k, window, servers, times }))
        .collect()
}

/// Returns events in order of time.
fn events_of(rng: &mut StdRng, count: usize, (time_max, zone_max): (i64, i64)) -> Log {
    let mut events: Log =
        (0..count).map(|_| (rng.random_range(0..=time_max), rng.random_range(1..=zone_max))).collect();
    events.sort_unstable();
    events
}

fn times_of(rng: &mut StdRng, count: usize, time_max: i64) -> Vec<i64> {
    let mut times: Vec<i64> = (0..count).map(|_| rng.random_range(0..=time_max)).collect();
    times.sort_unstable();
    times
}

fn input(what: &str, question: &Question<'_>) -> Input {
    let Question { k, window, servers, times } = question;
    let mut text = format!("{k} {window} {}\n", servers.len());
    for server in servers {
        let events = joined(server.iter().flat_map(|(time, zone)| [*time, *zone]));
        text.push_str(format!("{} {events}", server.len()).trim_end());
        text.push('\n');
    }
    text.push_str(format!("{} {}", times.len(), joined(*times)).trim_end());
    text.push('\n');
    (what.to_owned(), servers.iter().map(Vec::len).sum(), text)
}

pub(super) fn answer(input: &str) -> String {
    let mut words = numbers(input);
    let mut next = || words.next().unwrap_or_default();
    let (k, window, servers) = (next(), next(), next());
    let mut events = Vec::new();
    for _ in 0..servers {
        for _ in 0..next() {
            events.push((next(), next()));
        }
    }
    events.sort_unstable();
    let mut lines = Vec::new();
    for _ in 0..next() {
        let now = next();
        let from = events.partition_point(|(time, _)| *time <= now - window);
        let until = events.partition_point(|(time, _)| *time <= now);
        lines.push(top(&events[from..until], k));
    }
    lines.join("\n")
}

/// Returns the `k` zones with the most events.
fn top(events: &[(i64, i64)], k: i64) -> String {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for (_, zone) in events {
        *counts.entry(*zone).or_default() += 1;
    }
    let mut counts: Vec<(i64, i64)> = counts.into_iter().collect();
    counts.sort_by_key(|(zone, count)| (Reverse(*count), *zone));
    counts.truncate(usize::try_from(k).unwrap_or_default());
    if counts.is_empty() {
        return "-".to_owned();
    }
    joined(counts.iter().map(|(zone, count)| format!("{zone}:{count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_open_at_its_start_and_closed_at_its_end() {
        assert_eq!(answer("2 10 1\n2 1 1 5 2\n3 4 10 11\n"), "1:1\n1:1 2:1\n2:1");
        assert_eq!(answer("1 10 2\n1 9 4\n0\n1 5\n"), "-");
    }

    #[test]
    fn zone_that_is_second_on_every_server_can_be_first_of_all() {
        let (_, _, input) = fixed().pop().expect("the last one");
        assert_eq!(answer(&input), "2:4");
    }
}
