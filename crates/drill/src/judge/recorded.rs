//! Predicates over a recording, by name.

use std::collections::BTreeMap;

use super::measures::{Measured, Unit, of_group, shortened};
use super::model::Among;
use crate::load::recording::{DriverEventRecord, Recording};

/// A predicate: the violations in words, and how many cases were looked at.
type Predicate = fn(&Among, &Recording) -> (Vec<String>, u64);

/// The predicates and what each says.
const PREDICATES: [(&str, &str, Predicate); 5] = [
    ("same_key_same_answer", "A repeated request gets the bytes of its first success.", same_key_same_answer),
    ("no_second_offer", "A driver who declined a trip is not offered it again.", no_second_offer),
    ("accepted_trips_stay", "A trip whose offer was accepted is assigned, or was cancelled.", accepted_trips_stay),
    ("final_answers", "Every command gets a final response within its attempts.", final_answers),
    ("stream_skips_nothing", "A driver with an open stream receives each of their events.", stream_skips_nothing),
];

/// The names of the predicates.
pub const NAMES: [&str; 5] = [PREDICATES[0].0, PREDICATES[1].0, PREDICATES[2].0, PREDICATES[3].0, PREDICATES[4].0];

/// How long an event may take to its driver, real seconds. Those that begin later than this before the end of the load do not count.
const EVENT_WITHIN_S: f64 = 1.0;

/// Returns the number of violations of a predicate; `None` if there is none of that name.
pub(super) fn measure(name: &str, among: &Among, recording: &Recording) -> Measured {
    let unit = Unit::Number("violations");
    let Some((_, _, predicate)) = PREDICATES.iter().find(|(known, ..)| *known == name) else {
        let detail = format!("no predicate is called {name}; there are {}", NAMES.join(", "));
        return Measured { value: None, count: 0, unit, detail };
    };
    let (violations, count) = predicate(among, recording);
    Measured { value: Some(violations.len() as f64), count, unit, detail: shortened(&violations) }
}

fn same_key_same_answer(among: &Among, recording: &Recording) -> (Vec<String>, u64) {
    let mut answers = BTreeMap::<(&str, &str), Vec<u64>>::new();
    for request in &recording.requests {
        if !request.key.is_empty()
            && (200..300).contains(&request.status)
            && of_group(among, &request.group, request.at_s)
        {
            answers.entry((&request.caller, &request.key)).or_default().push(request.digest);
        }
    }
    let repeated: Vec<_> = answers.iter().filter(|(_, digests)| digests.len() > 1).collect();
    let differs = |digests: &[u64]| digests.windows(2).any(|two| two[0] != two[1]);
    let violations = repeated
        .iter()
        .filter(|(_, digests)| differs(digests))
        .map(|((caller, key), _)| format!("{caller} under {key}"));
    (violations.collect(), repeated.len() as u64)
}

fn no_second_offer(among: &Among, recording: &Recording) -> (Vec<String>, u64) {
    let offers = recording.offers.iter().filter(|offer| of_group(among, &offer.group, offer.at_s));
    let (mut declined, mut violations) = (std::collections::BTreeSet::new(), Vec::new());
    for offer in offers {
        let pair = (offer.driver.as_str(), offer.trip.as_str());
        if declined.contains(&pair) {
            violations.push(format!("{} got {} again", offer.driver, offer.trip));
        }
        if offer.answer == "decline" && (200..300).contains(&offer.status) {
            declined.insert(pair);
        }
    }
    (violations, declined.len() as u64)
}

fn accepted_trips_stay(among: &Among, recording: &Recording) -> (Vec<String>, u64) {
    let accepted = recording.offers.iter().filter(|offer| {
        offer.answer == "accept" && (200..300).contains(&offer.status) && of_group(among, &offer.group, offer.at_s)
    });
    let (mut violations, mut count) = (Vec::new(), 0);
    for offer in accepted {
        count += 1;
        let trip = recording.trips.iter().find(|trip| trip.id == offer.trip);
        if trip.is_some_and(|trip| matches!(trip.state.as_str(), "searching" | "offered" | "no_driver" | "requested")) {
            violations.push(offer.trip.clone());
        }
    }
    (violations, count)
}

fn final_answers(among: &Among, recording: &Recording) -> (Vec<String>, u64) {
    let mut last = BTreeMap::<(&str, &str), (u16, &str)>::new();
    for request in recording.requests.iter().filter(|request| !request.key.is_empty()) {
        if of_group(among, &request.group, request.at_s) && request.at_s < recording.seconds {
            let end = last.entry((&request.caller, &request.key)).or_default();
            // Once final, it stays so, whatever a repetition gets.
            if !(200..500).contains(&end.0) || end.0 == 429 {
                *end = (request.status, &request.operation);
            }
        }
    }
    let is_open = |status: u16| matches!(status, 0 | 429 | 500..);
    let violations = last.iter().filter(|(_, (status, _))| is_open(*status));
    let words =
        violations.map(|((caller, _), (status, operation))| format!("{caller}: {operation} ended with {status}"));
    (words.collect(), last.len() as u64)
}

fn stream_skips_nothing(among: &Among, recording: &Recording) -> (Vec<String>, u64) {
    let is_due = |event: &&DriverEventRecord| event.received || event.at_s + EVENT_WITHIN_S <= recording.seconds;
    let events = recording.driver_events.iter().filter(|event| of_group(among, &event.group, event.at_s));
    let due: Vec<&DriverEventRecord> = events.filter(is_due).collect();
    let missed = due.iter().filter(|event| !event.received);
    let words = missed.map(|event| format!("{} did not receive {} ({})", event.driver, event.event, event.seq));
    (words.collect(), due.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::float_cmp, reason = "whole numbers")]
    #[test]
    fn stream_skips_what_was_due_and_did_not_arrive() {
        let event = |seq, at_s, received| DriverEventRecord {
            at_s,
            group: if seq == 4 { "bicycles" } else { "cars" }.to_owned(),
            driver: "cars-0".to_owned(),
            seq,
            event: "offer.created".to_owned(),
            received,
        };
        // The third begins when the load is about to end, and the fourth is of another group.
        let driver_events = vec![event(1, 2.0, true), event(2, 3.0, false), event(3, 9.5, false), event(4, 3.0, false)];
        let mut recording = Recording { seconds: 10.0, driver_events, ..Recording::default() };
        let among = Among { group: Some("cars".to_owned()), ..Among::default() };
        let measured = measure("stream_skips_nothing", &among, &recording);
        assert_eq!((measured.value, measured.count), (Some(1.0), 2), "{measured:?}");
        assert_eq!(measured.detail, "cars-0 did not receive offer.created (2)");
        recording.driver_events[1].received = true;
        assert_eq!(measure("stream_skips_nothing", &among, &recording).value, Some(0.0));
    }

    #[test]
    fn names_are_unique_and_each_says_what_holds() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PREDICATES.len());
        assert!(PREDICATES.iter().all(|(_, says, _)| says.ends_with('.')));
    }

    #[test]
    fn unknown_name_measures_nothing_and_lists_the_names() {
        let measured = measure("x", &Among::default(), &Recording::default());
        assert!(measured.value.is_none() && measured.detail.contains("no_second_offer"), "{measured:?}");
    }
}
