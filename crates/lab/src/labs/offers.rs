//! Lab 10: one driver after the other, or several at once.

use rand::rngs::StdRng;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, random, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 10,
    name: "offers",
    title: "Sequential or broadcast offers",
    question: "70 % of drivers accept. A ride is offered to one driver after the other, or to 3, 5 or 10 at once. \
               How many seconds does a match take, and how many drivers see an offer that is already gone?",
    bet: BetQuestion {
        ask: "of 100 rides that are offered to 5 drivers at once, how many drivers still have the offer open when \
              another one takes it?",
        unit: "drivers of 100 rides",
    },
    kind: Kind::Simulation,
    held_fixed: "An offer ends after 15 s. Of 100 drivers 70 accept, 25 decline and 5 do not answer; an answer takes \
                 2 s and an exponential time of 4 s on average. The next offers follow at once when all before are \
                 declined or over. A driver's screen shows 0.5 s later that an offer is gone; an accept in that time \
                 is refused. Three free drivers to a square kilometer, at random places, nearest first.",
    would_change: "Slower answers favor the broadcast, more acceptance the sequence. Drivers who have seen offers \
                   vanish answer faster and read less, or stop answering: the simulation has no memory of that. A \
                   broadcast also keeps its drivers from other riders meanwhile.",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

const ACCEPT: f64 = 0.70;
const DECLINE: f64 = 0.25;

/// How long an offer lasts, and how long a driver takes to answer: at least, and on average beyond that.
const OFFER_TTL_S: f64 = 15.0;
const ANSWER_MIN_S: f64 = 2.0;
const ANSWER_MEAN_S: f64 = 4.0;

/// How long the word that an offer is gone takes to the driver's screen.
const PUSH_S: f64 = 0.5;

const DRIVERS_PER_KM2: f64 = 3.0;

/// Drivers that are asked at most, so that every ride ends.
const ASKED_MAX: usize = 60;

/// Offers at the same time. The first is the sequence; the bet is about the third.
const AT_ONCE: [usize; 4] = [1, 3, 5, 10];
const OF_BET: usize = 5;

/// The columns of the table.
const MATCH_S: usize = 0;
const GONE: usize = 2;

/// The sizes of a measurement.
struct Sizes {
    rides: usize,
}

const FULL: Sizes = Sizes { rides: 20_000 };

/// What a driver does with an offer.
#[derive(Debug, Clone, Copy)]
struct Reply {
    /// Seconds after the offer; the end of the offer if the driver does not answer.
    after_s: f64,
    accepts: bool,
}

/// How a ride was matched.
#[derive(Debug, Default)]
struct Match {
    after_s: f64,
    asked: usize,
    /// Drivers with an open offer when another driver took it.
    gone: usize,
    /// Accepts that came before the driver could know that the offer was gone.
    refused: usize,
    /// How much farther the driver is than the nearest of all.
    farther_m: f64,
    is_matched: bool,
}

fn reply(rng: &mut StdRng) -> Reply {
    let choice = random::unit(rng);
    let after_s = ANSWER_MIN_S + random::exponential(rng, ANSWER_MEAN_S);
    if choice >= ACCEPT + DECLINE || after_s >= OFFER_TTL_S {
        return Reply { after_s: OFFER_TTL_S, accepts: false };
    }
    Reply { after_s, accepts: choice < ACCEPT }
}

/// Offers a ride to so many drivers at once until one accepts.
fn offer(rng: &mut StdRng, at_once: usize) -> Match {
    // The areas between circles through one driver and the next are exponential, as for all places at random.
    let mut area_km2 = 0.0;
    let distances_m: Vec<f64> = (0..ASKED_MAX)
        .map(|_| {
            area_km2 += random::exponential(rng, 1.0 / DRIVERS_PER_KM2);
            (area_km2 / std::f64::consts::PI).sqrt() * 1e3
        })
        .collect();
    let mut ride = Match::default();
    for batch in distances_m.chunks(at_once) {
        let replies: Vec<Reply> = batch.iter().map(|_| reply(rng)).collect();
        ride.asked += batch.len();
        let accepts = replies.iter().enumerate().filter(|(_, reply)| reply.accepts);
        let Some((winner, first)) = accepts.min_by(|a, b| a.1.after_s.total_cmp(&b.1.after_s)) else {
            ride.after_s += replies.iter().map(|reply| reply.after_s).fold(0.0, f64::max);
            continue;
        };
        let others = || replies.iter().enumerate().filter(|(at, _)| *at != winner).map(|(_, reply)| reply);
        ride.gone = others().filter(|reply| reply.after_s > first.after_s).count();
        let is_late =
            |reply: &&Reply| reply.accepts && (first.after_s..first.after_s + PUSH_S).contains(&reply.after_s);
        ride.refused = others().filter(is_late).count();
        ride.after_s += first.after_s;
        ride.farther_m = batch[winner] - distances_m[0];
        ride.is_matched = true;
        break;
    }
    ride
}

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("time to the match", "s", 1),
        Column::new("slowest 5 % of matches, at least", "s", 1),
        Column::new("drivers who see the offer go", "of 100 rides", 0),
        Column::new("accepts refused as gone", "of 100 rides", 1),
        Column::new("drivers asked", "of 100 rides", 0),
        Column::new("driver farther than the nearest", "m", 0),
        Column::new("rides without a driver", "of 100", 2),
    ]);
    for run in 0..context.runs {
        for at_once in AT_ONCE {
            context.step(run, &label(at_once))?;
            let mut rng = context.random("rides", run);
            let rides: Vec<Match> = (0..sizes.rides).map(|_| offer(&mut rng, at_once)).collect();
            let matched = || rides.iter().filter(|ride| ride.is_matched);
            let mut times_s: Vec<f64> = matched().map(|ride| ride.after_s).collect();
            let of_100 = |count: usize| 100.0 * count as f64 / rides.len() as f64;
            let farther_m: Vec<f64> = matched().map(|ride| ride.farther_m).collect();
            let figures = [
                statistics::mean(&times_s),
                statistics::percentile(&mut times_s, 0.95),
                of_100(rides.iter().map(|ride| ride.gone).sum()),
                of_100(rides.iter().map(|ride| ride.refused).sum()),
                of_100(rides.iter().map(|ride| ride.asked).sum()),
                statistics::mean(&farther_m),
                of_100(rides.len() - times_s.len()),
            ];
            measured.record(&label(at_once), &figures);
        }
    }
    Ok(result(measured))
}

fn label(at_once: usize) -> String {
    if at_once == 1 { "one after the other".to_owned() } else { format!("{at_once} at once") }
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let of = |at_once: usize, column| table.median(&label(at_once), column);
    let figure = numbers::short;
    let conclusions = vec![
        format!(
            "One after the other takes {} s on average, 5 at once {} s, 10 at once {} s.",
            figure(of(1, MATCH_S)),
            figure(of(OF_BET, MATCH_S)),
            figure(of(10, MATCH_S))
        ),
        format!(
            "In exchange {} drivers of 100 rides see an offer of 5 vanish, {} of them have pressed accept and are \
             refused; with 10 at once {} see it vanish.",
            figure(of(OF_BET, GONE)),
            figure(of(OF_BET, 3)),
            figure(of(10, GONE))
        ),
        format!(
            "The first to accept is not the nearest car: with 5 at once the driver is {} m farther away than the \
             nearest, one after the other {} m.",
            figure(of(OF_BET, 5)),
            figure(of(1, 5))
        ),
    ];
    let plot = Plot::bars("Drivers who see the offer go", Axis::linear("drivers", "of 100 rides"), &table, &[GONE, 3]);
    let text = format!(
        "Drivers with an open offer when another one takes it, 5 at once. One after the other: {}. A match takes {} \
         s against {} s.",
        figure(of(1, GONE)),
        figure(of(OF_BET, MATCH_S)),
        figure(of(1, MATCH_S))
    );
    let answer = LAB.bet.answer(of(OF_BET, GONE), text);
    LabResult { table, answer, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_is_faster_and_only_there_offers_vanish() {
        let result = measure(&Context::quiet(1, 2, None), &Sizes { rides: 2_000 }).expect("a result");
        let figure = |at_once: usize, column| result.table.median(&label(at_once), column);
        assert!(figure(1, GONE).abs() < 1e-9 && figure(1, 3).abs() < 1e-9);
        assert!(figure(5, MATCH_S) < figure(1, MATCH_S) && figure(10, GONE) > figure(5, GONE));
        assert!(figure(5, 3) <= figure(5, GONE) && figure(5, 5) > figure(1, 5), "{}", result.table.text());
    }

    #[test]
    fn share_of_accepts_is_below_what_drivers_would_accept() {
        // An answer that would come after the end of the offer is none.
        let mut rng = random::generator(1, "test", 0);
        let accepts = (0..10_000).filter(|_| reply(&mut rng).accepts).count();
        assert!((6_400..7_000).contains(&accepts), "{accepts}");
    }
}
