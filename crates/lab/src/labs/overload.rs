//! Lab 5: twice as many requests as a service can do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rand::rngs::StdRng;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, random, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 5,
    name: "overload",
    title: "Overload",
    question: "A service gets twice the requests that it can do, and clients wait 1 s. How many of 100 requests \
               succeed in time, with and without shedding?",
    bet: BetQuestion {
        ask: "without shedding, how many of 100 requests succeed within 1 s during a minute of overload?",
        unit: "of 100 requests",
    },
    kind: Kind::Simulation,
    held_fixed: "16 workers, exponential service times of 50 ms on average: 320 requests a second. 640 arrive at \
                 random (Poisson) for 60 s, to an empty service. A client that has waited 1 s is gone; the service \
                 does not notice, and works for it all the same, except where the row says that it looks at the \
                 deadline before it begins. The bounded queue has 80 places, a quarter of a second of work; beyond \
                 it a request is refused.",
    would_change: "Clients that repeat what failed make it worse without shedding and not much with it. A short \
                   overload only fills the queue. If most of the cost comes before the check, shedding saves less. \
                   Unequal requests need a choice of which to refuse.",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

const WORKERS: usize = 16;
const SERVICE_S: f64 = 0.05;
const DEADLINE_S: f64 = 1.0;

/// Requests a second that the workers do.
const CAPACITY: f64 = WORKERS as f64 / SERVICE_S;

/// The load, in capacities.
const LOAD: f64 = 2.0;

/// Places of the bounded queue.
const QUEUE_MAX: usize = 80;

/// The columns of the table.
const IN_TIME: usize = 0;
const WASTED: usize = 1;

/// The sizes of a measurement.
struct Sizes {
    seconds: f64,
}

const FULL: Sizes = Sizes { seconds: 60.0 };

/// What a service does with more than it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Unbounded,
    Deadline,
    Bounded,
    NewestFirst,
}

impl Policy {
    const ALL: [Self; 4] = [Self::Unbounded, Self::Deadline, Self::Bounded, Self::NewestFirst];

    fn name(self) -> &'static str {
        match self {
            Self::Unbounded => "no shedding, endless queue",
            Self::Deadline => "drops what is too late",
            Self::Bounded => "bounded queue",
            Self::NewestFirst => "bounded queue, newest first",
        }
    }

    fn is_bounded(self) -> bool {
        matches!(self, Self::Bounded | Self::NewestFirst)
    }
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Served {
    arrived: usize,
    in_time_s: Vec<f64>,
    too_late: usize,
    refused: usize,
}

/// Runs one policy until the last request has left the queue.
fn simulate(rng: &mut StdRng, sizes: &Sizes, policy: Policy) -> Served {
    let arrivals: Vec<(f64, f64)> = random::arrivals(rng, LOAD * CAPACITY, sizes.seconds)
        .into_iter()
        .map(|at_s| (at_s, random::exponential(rng, SERVICE_S)))
        .collect();
    let mut served = Served { arrived: arrivals.len(), ..Served::default() };
    // Workers that are busy, by the end of their work in nanoseconds.
    let mut busy: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
    let mut queue: VecDeque<(f64, f64)> = VecDeque::new();
    let mut next = 0;
    loop {
        let free_s = busy.peek().map_or(f64::INFINITY, |Reverse(end)| *end as f64 / 1e9);
        let arrival_s = arrivals.get(next).map_or(f64::INFINITY, |(at_s, _)| *at_s);
        let now_s = free_s.min(arrival_s);
        if now_s.is_infinite() {
            break;
        }
        if free_s <= arrival_s {
            busy.pop();
        } else {
            queue.push_back(arrivals[next]);
            next += 1;
        }
        while busy.len() < WORKERS {
            let first = if policy == Policy::NewestFirst { queue.pop_back() } else { queue.pop_front() };
            let Some((at_s, work_s)) = first else { break };
            if policy == Policy::Deadline && now_s - at_s >= DEADLINE_S {
                served.refused += 1;
                continue;
            }
            let end_s = now_s + work_s;
            busy.push(Reverse((end_s * 1e9) as i64));
            if end_s - at_s <= DEADLINE_S { served.in_time_s.push(end_s - at_s) } else { served.too_late += 1 }
        }
        if policy.is_bounded() && queue.len() > QUEUE_MAX {
            // The newest is refused; newest first, the oldest is.
            let _refused = if policy == Policy::NewestFirst { queue.pop_front() } else { queue.pop_back() };
            served.refused += 1;
        }
    }
    served
}

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("succeed in time", "of 100", 1),
        Column::new("work for clients who are gone", "of 100 done", 1),
        Column::new("refused or dropped", "of 100", 1),
        Column::new("p50 of those in time", "ms", 0),
        Column::new("p99 of those in time", "ms", 0),
    ]);
    for run in 0..context.runs {
        for policy in Policy::ALL {
            context.step(run, policy.name())?;
            let mut served = simulate(&mut context.random("requests", run), sizes, policy);
            let of = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
            let (in_time, arrived) = (served.in_time_s.len(), served.arrived);
            let wasted = of(served.too_late, in_time + served.too_late);
            let [p50, p99] = [0.5, 0.99].map(|share| statistics::percentile(&mut served.in_time_s, share) * 1e3);
            measured.record(policy.name(), &[of(in_time, arrived), wasted, of(served.refused, arrived), p50, p99]);
        }
    }
    Ok(result(measured))
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let of = |policy: Policy, column| numbers::short(table.median(policy.name(), column));
    let conclusions = vec![
        format!(
            "Without shedding {} of 100 requests succeed in time, although the service could do 50: {} % of its work \
             is for clients who are gone.",
            of(Policy::Unbounded, IN_TIME),
            of(Policy::Unbounded, WASTED)
        ),
        format!(
            "A queue of {QUEUE_MAX} places gets {} of 100 through in time, with a p99 of {} ms. The others learn at \
             once that they are refused, and may go elsewhere.",
            of(Policy::Bounded, IN_TIME),
            of(Policy::Bounded, 4)
        ),
        format!(
            "To look at the deadline before the work begins gets {} of 100 through: the queue stays as long as the deadline, \
             and what begins just before it ends after it. The p50 of those in time is {} ms.",
            of(Policy::Deadline, IN_TIME),
            of(Policy::Deadline, 3)
        ),
        format!(
            "Newest first answers those whom it answers fastest (p50 {} ms), and refuses the oldest after they have waited.",
            of(Policy::NewestFirst, 3)
        ),
    ];
    let plot = Plot::bars("Twice the capacity", Axis::linear("requests", "of 100"), &table, &[IN_TIME, WASTED]);
    let text = format!(
        "Without shedding. With a bounded queue: {}; with a look at the deadline: {}.",
        of(Policy::Bounded, IN_TIME),
        of(Policy::Deadline, IN_TIME)
    );
    let value = table.median(Policy::Unbounded.name(), IN_TIME);
    LabResult { answer: LAB.bet.answer(value, text), table, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shedding_lets_more_requests_succeed_in_time() {
        let result = measure(&Context::quiet(1, 2, None), &Sizes { seconds: 20.0 }).expect("a result");
        let figure = |policy: Policy, column| result.table.median(policy.name(), column);
        for policy in [Policy::Bounded, Policy::NewestFirst] {
            assert!(figure(policy, IN_TIME) > 2.0 * figure(Policy::Unbounded, IN_TIME), "{}", result.table.text());
        }
        assert!(figure(Policy::Deadline, IN_TIME) > figure(Policy::Unbounded, IN_TIME), "{}", result.table.text());
        assert!(figure(Policy::Unbounded, WASTED) > 50.0, "{}", result.table.text());
    }

    #[test]
    fn every_request_is_served_late_or_refused() {
        for policy in Policy::ALL {
            let served = simulate(&mut random::generator(1, "test", 0), &Sizes { seconds: 5.0 }, policy);
            assert_eq!(served.in_time_s.len() + served.too_late + served.refused, served.arrived, "{policy:?}");
            assert!(served.arrived > 3_000, "{policy:?}");
        }
    }
}
