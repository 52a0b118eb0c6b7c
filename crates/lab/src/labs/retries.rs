//! Lab 4: what clients send after an outage, by their way to repeat.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand::rngs::StdRng;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, random};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 4,
    name: "retries",
    title: "Retries after an outage",
    question: "A service with 300 calls a second is down for 20 s, and its 1,500 open streams are cut. How many times the \
               normal load is the peak if calls are repeated at a fixed interval, with exponential back-off, with jitter, \
               within a budget?",
    bet: BetQuestion {
        ask: "how many times the normal load is the busiest tenth of a second with exponential back-off without jitter?",
        unit: "times normal",
    },
    kind: Kind::Simulation,
    held_fixed: "300 calls a second at random (Poisson), an outage from 10 s to 30 s, 120 s in all. The streams are cut at the \
                 start of the outage, and reconnect after the first delay (at once if nothing is repeated). A failed call is \
                 repeated after 1 s (fixed), or after 1, 2, 4, 8, 16 s (exponential), or after a random time below those \
                 (full jitter), for 60 s at most. With the budget, a tenth of the calls may be repeats; one beyond it fails \
                 for good. The service does twice the normal load; what exceeds that in a tenth of a second fails at once.",
    would_change: "Calls that hang until a time-out, instead of failing at once, arrive later and together. A service without \
                   a reserve may never recover: the repeats alone keep it full. A breaker in the client keeps calls back \
                   during the outage. Without streams nothing keeps step, and jitter changes little.",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

/// The outage, in seconds.
const DOWN_S: std::ops::Range<f64> = 10.0..30.0;

/// What the service does, in calls of the normal load.
const CAPACITY: f64 = 2.0;

/// The service fails calls beyond its capacity in a slot of this length.
const SLOT_S: f64 = 0.1;

const FIRST_DELAY_S: f64 = 1.0;
const DELAY_MAX_S: f64 = 16.0;

/// How long a call is repeated.
const GIVE_UP_S: f64 = 60.0;

/// The share of the calls that may be repeats, and how many of them may be saved for later.
const BUDGET: f64 = 0.1;
const BUDGET_SAVED_MAX: f64 = 100.0;

/// The columns of the table.
const PEAK: usize = 0;

/// The sizes of a measurement.
struct Sizes {
    rate: f64,
    streams: usize,
    until_s: f64,
}

const FULL: Sizes = Sizes { rate: 300.0, streams: 1_500, until_s: 120.0 };

/// When a failed call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Never,
    Fixed,
    Exponential,
    Jitter,
    Budget,
}

impl Policy {
    const ALL: [Self; 5] = [Self::Never, Self::Fixed, Self::Exponential, Self::Jitter, Self::Budget];

    fn name(self) -> &'static str {
        match self {
            Self::Never => "no repeats",
            Self::Fixed => "every second",
            Self::Exponential => "exponential",
            Self::Jitter => "exponential with jitter",
            Self::Budget => "jitter and a budget of 10 %",
        }
    }

    /// Returns the delay before a stream that was cut reconnects.
    fn reconnect_s(self, rng: &mut StdRng) -> f64 {
        if self == Self::Never { 0.0 } else { self.delay_s(1, rng) }
    }

    /// Returns the delay before a repeat; `attempt` is the number of calls before it.
    fn delay_s(self, attempt: u32, rng: &mut StdRng) -> f64 {
        let full_s = (FIRST_DELAY_S * 2_f64.powi(attempt as i32 - 1)).min(DELAY_MAX_S);
        match self {
            Self::Never => f64::INFINITY,
            Self::Fixed => FIRST_DELAY_S,
            Self::Exponential => full_s,
            Self::Jitter | Self::Budget => rng.random_range(0.0..full_s),
        }
    }
}

/// A call to come, ordered by its time in microseconds, then by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    at_us: i64,
    id: usize,
    attempt: u32,
    first_us: i64,
}

/// What the service saw.
#[derive(Debug)]
struct Traffic {
    /// Calls in each slot.
    per_slot: Vec<u32>,
    calls: usize,
    given_up: usize,
    last_failure_s: f64,
}

/// Runs one policy.
fn simulate(rng: &mut StdRng, sizes: &Sizes, policy: Policy) -> Traffic {
    let us = |seconds: f64| (seconds * 1e6) as i64;
    let mut first_s = random::arrivals(rng, sizes.rate, sizes.until_s);
    let regular = first_s.len();
    first_s.extend((0..sizes.streams).map(|_| DOWN_S.start + policy.reconnect_s(rng)));
    let calls = first_s.len();
    let call = |(id, at_s): (usize, f64)| {
        // The cut was the first failure of a stream.
        let attempt = if id < regular { 1 } else { 2 };
        Reverse(Call { at_us: us(at_s), id, attempt, first_us: us(at_s) })
    };
    let mut queue: BinaryHeap<Reverse<Call>> = first_s.into_iter().enumerate().map(call).collect();
    let mut traffic = Traffic {
        per_slot: vec![0; (sizes.until_s / SLOT_S).ceil() as usize],
        calls,
        given_up: 0,
        last_failure_s: DOWN_S.end,
    };
    let capacity = (sizes.rate * CAPACITY * SLOT_S).round() as u32;
    let (mut slot, mut in_slot, mut budget) = (0, 0, BUDGET_SAVED_MAX);
    while let Some(Reverse(call)) = queue.pop() {
        let at_s = call.at_us as f64 / 1e6;
        let slot_now = call.at_us / us(SLOT_S);
        let Some(calls) = traffic.per_slot.get_mut(slot_now as usize) else { break };
        *calls += 1;
        if call.id < regular && call.attempt == 1 {
            budget = (budget + BUDGET).min(BUDGET_SAVED_MAX);
        }
        (slot, in_slot) = if slot_now == slot { (slot, in_slot) } else { (slot_now, 0) };
        let is_down = DOWN_S.contains(&at_s);
        if !is_down && in_slot < capacity {
            in_slot += 1;
            continue;
        }
        if !is_down {
            traffic.last_failure_s = traffic.last_failure_s.max(at_s);
        }
        let delay_s = policy.delay_s(call.attempt, rng);
        let waited_s = (call.at_us - call.first_us) as f64 / 1e6 + delay_s;
        let is_in_budget = policy != Policy::Budget || budget >= 1.0;
        if waited_s > GIVE_UP_S || !is_in_budget {
            traffic.given_up += 1;
            continue;
        }
        if policy == Policy::Budget {
            budget -= 1.0;
        }
        queue.push(Reverse(Call { at_us: call.at_us + us(delay_s), attempt: call.attempt + 1, ..call }));
    }
    traffic
}

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("busiest tenth of a second", "times normal", 1),
        Column::new("load during the outage", "times normal", 1),
        Column::new("failures after the outage, for", "s", 1),
        Column::new("calls that fail for good", "of 100", 1),
    ]);
    for run in 0..context.runs {
        for policy in Policy::ALL {
            context.step(run, policy.name())?;
            let traffic = simulate(&mut context.random("calls", run), sizes, policy);
            let normal = sizes.rate * SLOT_S;
            let peak = f64::from(traffic.per_slot.iter().copied().max().unwrap_or(0)) / normal;
            let outage = &traffic.per_slot[(DOWN_S.start / SLOT_S) as usize..(DOWN_S.end / SLOT_S) as usize];
            let during = f64::from(outage.iter().sum::<u32>()) / outage.len() as f64 / normal;
            let given_up = 100.0 * traffic.given_up as f64 / traffic.calls as f64;
            measured.record(policy.name(), &[peak, during, traffic.last_failure_s - DOWN_S.end, given_up]);
        }
    }
    Ok(result(measured))
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let of = |policy: Policy, column| numbers::short(table.median(policy.name(), column));
    let conclusions = vec![
        format!(
            "Repeats every second are {} times the normal load during the outage, because each second of it adds one more \
             second of load; calls still fail {} s after it.",
            of(Policy::Fixed, 1),
            of(Policy::Fixed, 2)
        ),
        format!(
            "Exponential back-off bounds that ({} times), and keeps the streams that were cut in step: its busiest tenth of \
             a second is {} times normal, with jitter {} times.",
            of(Policy::Exponential, 1),
            of(Policy::Exponential, PEAK),
            of(Policy::Jitter, PEAK)
        ),
        format!(
            "Calls that fail for good, of 100: {} with exponential back-off, {} with jitter, {} with the budget, {} without \
             repeats.",
            of(Policy::Exponential, 3),
            of(Policy::Jitter, 3),
            of(Policy::Budget, 3),
            of(Policy::Never, 3)
        ),
        format!(
            "The budget keeps the load during the outage at {} times. It fits a call that has other ways to end, not a \
             stream that has to come back.",
            of(Policy::Budget, 1)
        ),
    ];
    let plot = Plot::bars("Load after an outage", Axis::logarithmic("load", "times normal"), &table, &[PEAK, 1]);
    let text = format!(
        "The busiest tenth of a second with exponential back-off. Every second: {}; with jitter: {}; with a budget: {}.",
        of(Policy::Fixed, PEAK),
        of(Policy::Jitter, PEAK),
        of(Policy::Budget, PEAK)
    );
    let value = table.median(Policy::Exponential.name(), PEAK);
    LabResult { answer: LAB.bet.answer(value, text), table, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_interval_peaks_highest_and_the_budget_bounds_the_load() {
        let sizes = Sizes { rate: 50.0, streams: 250, until_s: 100.0 };
        let result = measure(&Context::quiet(1, 2, None), &sizes).expect("a result");
        let figure = |policy: Policy, column| result.table.median(policy.name(), column);
        assert!(figure(Policy::Fixed, PEAK) > figure(Policy::Exponential, PEAK), "{}", result.table.text());
        assert!(figure(Policy::Exponential, PEAK) > 2.0 * figure(Policy::Jitter, PEAK), "{}", result.table.text());
        assert!(figure(Policy::Fixed, 1) > 2.0 * figure(Policy::Exponential, 1), "{}", result.table.text());
        assert!(figure(Policy::Exponential, 1) > figure(Policy::Budget, 1), "{}", result.table.text());
        assert!(figure(Policy::Budget, 3) > figure(Policy::Jitter, 3), "{}", result.table.text());
    }

    #[test]
    fn delays_double_up_to_the_limit() {
        let mut rng = random::generator(1, "test", 0);
        let delays: Vec<f64> = (1..=6).map(|attempt| Policy::Exponential.delay_s(attempt, &mut rng)).collect();
        assert_eq!(delays, [1.0, 2.0, 4.0, 8.0, 16.0, 16.0]);
        assert!((1..=6).all(|attempt| Policy::Jitter.delay_s(attempt, &mut rng) < 16.0));
    }
}
