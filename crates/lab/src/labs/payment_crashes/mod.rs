//! Lab 2: a process is killed, or loses an answer, at every step of a ride's payments.

mod designs;
mod process;
mod provider;

use std::str::FromStr;

use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements, Records};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, postgres};
use designs::{Design, Request};
use process::{Fault, FaultKind, Point, Process, Stop};
use provider::Provider;

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 2,
    name: "payment-crashes",
    title: "Payment crash matrix",
    question: "A ride charges a fare, charges a tip and refunds a part: three operations of five steps. A fault \
               strikes once, at each of 30 points. At how many points is money charged or refunded twice, or lost?",
    bet: BetQuestion {
        ask: "at how many of the 30 points does \"charge, then store the key\" charge twice or lose money?",
        unit: "of 30 points",
    },
    kind: Kind::Postgres,
    held_fixed: "One fault in a case: before each of the 15 steps the process is killed, and after each the step has \
                 taken effect and its answer is lost. A kill drops all that the process has in memory and closes its \
                 connection, which is what PostgreSQL and the provider see of `kill -9`. The client repeats a \
                 request under the same key, up to five times; after each failed try it gives up with a probability \
                 of 10 %. The provider is a part of this process, outlives every kill, and keeps idempotency keys. \
                 Commits do not wait for the disk, because no machine crashes here. The constraints repeat \
                 payment_attempts and posted_once of migrations/0003_payments.sql.",
    would_change: "A client that never repeats turns double charges into unrecorded ones. A provider without \
                   idempotency keys leaves even our design with calls that have to be looked up. A machine that \
                   loses acknowledged commits breaks every design. More faults in one case make the others worse; \
                   ours repeats under the same key, however often.",
    run: |context| Box::pin(measure(context)),
};

/// Steps of one operation, in every design.
const STEPS: usize = 5;

/// How often a client tries.
const TRIES_MAX: usize = 5;

/// The probability that a client gives up after a try that failed.
const GIVES_UP: f64 = 0.1;

/// The column that settles the bet.
const WRONG: usize = 2;

/// What a ride moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Fare,
    Tip,
    Refund,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Fare, Self::Tip, Self::Refund];

    fn name(self) -> &'static str {
        match self {
            Self::Fare => "fare",
            Self::Tip => "tip",
            Self::Refund => "refund",
        }
    }

    /// Minor units; what the rider gets is negative.
    fn amount(self) -> i64 {
        match self {
            Self::Fare => 1_850,
            Self::Tip => 300,
            Self::Refund => -500,
        }
    }
}

/// What is left at the end of a case.
#[derive(Debug)]
struct Case {
    at_provider: Vec<Operation>,
    ours: [usize; 3],
    answered_paid: [bool; 3],
}

impl Case {
    fn at_provider(&self, operation: Operation) -> usize {
        self.at_provider.iter().filter(|performed| **performed == operation).count()
    }

    /// Money moved more than once for one request.
    fn is_double(&self) -> bool {
        Operation::ALL.into_iter().any(|operation| self.at_provider(operation) > 1)
    }

    /// Money moved and we have no record, or the other way around, or the client was answered "paid" and nothing moved.
    fn is_lost(&self) -> bool {
        Operation::ALL.into_iter().zip(self.ours).zip(self.answered_paid).any(|((operation, ours), paid)| {
            let at_provider = self.at_provider(operation);
            (at_provider > 0) != (ours > 0) || (paid && at_provider == 0)
        })
    }

    fn disagrees(&self) -> bool {
        Operation::ALL.into_iter().zip(self.ours).any(|(operation, ours)| self.at_provider(operation) != ours)
    }

    /// Both ledgers, entry by entry.
    fn ledgers(&self) -> Vec<String> {
        let theirs = self.at_provider.iter().map(|operation| (*operation, 1));
        let ours = Operation::ALL.into_iter().zip(self.ours);
        vec![side("provider", theirs), side("ours", ours)]
    }
}

fn side(name: &str, entries: impl Iterator<Item = (Operation, usize)>) -> String {
    let mut total = 0;
    let mut words = Vec::new();
    for (operation, count) in entries {
        for _ in 0..count {
            total += operation.amount();
            words.push(format!("{} {}", operation.name(), money(operation.amount())));
        }
    }
    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    format!("{name:<9} {words}; sum {}", money(total))
}

fn money(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100)
}

async fn measure(context: &Context) -> Result<LabResult> {
    let url = context.database("lab_payment_crashes").await?;
    let options = PgConnectOptions::from_str(&url)?.options([("synchronous_commit", "off")]);
    let mut session: PgConnection = options.connect().await?;
    postgres::run_sql(&mut session, designs::SCHEMA).await?;
    session.close().await?;
    let mut measured = Measurements::new(vec![
        Column::new("charged or refunded twice", "of 30", 0),
        Column::new("lost or unrecorded", "of 30", 0),
        Column::new("either", "of 30", 0),
        Column::new("our records differ from the provider's", "of 30", 0),
    ]);
    let mut case_id = 0;
    let mut records = Vec::new();
    for run in 0..context.runs {
        for design in Design::ALL {
            context.step(run, design.name())?;
            let mut rng = context.random("clients give up", run);
            let mut counts = [0_u32; 4];
            for point in Point::all() {
                case_id += 1;
                let case = run_case((design, case_id), &options, Some(point), &mut rng).await?;
                let found = [case.is_double(), case.is_lost(), case.is_double() || case.is_lost(), case.disagrees()];
                counts.iter_mut().zip(found).for_each(|(count, found)| *count += u32::from(found));
                let shown = Point { operation: Operation::Fare, step: design.call_step(), kind: FaultKind::AnswerLost };
                if run == 0 && point == shown {
                    let title = format!("{}: the provider's answer to the fare is lost", design.name());
                    records.push(Records { title, lines: case.ledgers() });
                }
            }
            measured.record(design.name(), &counts.map(f64::from));
        }
    }
    Ok(result(measured, records))
}

fn result(measured: Measurements, records: Vec<Records>) -> LabResult {
    let table = measured.table();
    let of = |design: Design, column| numbers::short(table.median(design.name(), column));
    let value = table.median(Design::ChargeThenStore.name(), WRONG);
    let conclusions = vec![
        format!(
            "\"Charge, then store the key\" goes wrong at {} of 30 points: whatever strikes after the charge and \
             before the commit makes the client repeat a charge that no record prevents.",
            of(Design::ChargeThenStore, WRONG)
        ),
        format!(
            "\"Store the key, then charge\" never charges twice by a crash ({} of 30), and loses money instead ({} \
             of 30): the repeated request finds the key and is answered \"paid\".",
            of(Design::StoreThenCharge, 0),
            of(Design::StoreThenCharge, 1)
        ),
        format!(
            "Taking a call without an answer for a failure goes wrong at {} of 30 points: the outcome is unknown, \
             and a new payment has a new key.",
            of(Design::TimeOutIsFailure, WRONG)
        ),
        format!(
            "With the attempt and its key committed before the call, and every repetition under that key, {} of 30 \
             points go wrong.",
            of(Design::AttemptFirst, WRONG)
        ),
    ];
    let text = format!(
        "Points at which \"charge, then store the key\" ends wrong. A time-out taken for a failure: {}; store, then \
         charge: {}; attempt first: {}.",
        of(Design::TimeOutIsFailure, WRONG),
        of(Design::StoreThenCharge, WRONG),
        of(Design::AttemptFirst, WRONG)
    );
    let plot = Plot::bars("Points with wrong money, of 30", Axis::linear("points", "of 30"), &table, &[0, 1]);
    LabResult { answer: LAB.bet.answer(value, text), table, records, conclusions, plot }
}

/// Pays a ride with one fault, and lets every recovery end.
async fn run_case(
    (design, case_id): (Design, i64),
    options: &PgConnectOptions,
    point: Option<Point>,
    rng: &mut StdRng,
) -> Result<Case> {
    let (provider, fault) = (Provider::default(), Fault::at(point));
    let mut process = Process::start(options, &provider, &fault).await?;
    let mut answered_paid = [false; 3];
    for (operation, paid) in Operation::ALL.into_iter().zip(&mut answered_paid) {
        for _ in 0..TRIES_MAX {
            match design.handle(&mut process, &Request { case_id, operation }).await {
                Ok(()) => {
                    *paid = true;
                    break;
                }
                Err(Stop::Failed(error)) => return Err(error.into()),
                Err(Stop::AnswerLost) => {}
                Err(Stop::Killed) => {
                    process = Process::start(options, &provider, &fault).await?;
                    ended(design.recover(&mut process, case_id).await)?;
                }
            }
            if rng.random_bool(GIVES_UP) {
                break;
            }
        }
    }
    // Later, the worker looks after what is still open.
    ended(design.recover(&mut process, case_id).await)?;
    let ours = ended(designs::posted(&mut process, design, case_id).await)?;
    Ok(Case { at_provider: provider.ledger(), ours, answered_paid })
}

/// A second fault does not strike, so that a recovery ends.
fn ended<T>(end: Result<T, Stop>) -> Result<T> {
    end.map_err(|stop| match stop {
        Stop::Failed(error) => error.into(),
        Stop::Killed | Stop::AnswerLost => "a fault struck twice".into(),
    })
}

#[cfg(test)]
mod tests {
    use embedded_postgres::TestCluster;

    use super::*;

    #[tokio::test]
    async fn attempt_first_is_never_wrong_and_every_other_design_is() {
        let cluster = TestCluster::shared().await.expect("a server");
        let context = Context::quiet(1, 1, Some(cluster.server().clone()));
        let result = measure(&context).await.expect("a result");
        let figure = |design: Design, column| result.table.median(design.name(), column);
        for column in 0..4 {
            assert!(figure(Design::AttemptFirst, column).abs() < 1e-9, "{}", result.table.text());
        }
        assert!(figure(Design::ChargeThenStore, 0) > 0.0, "{}", result.table.text());
        assert!(figure(Design::TimeOutIsFailure, 0) > 0.0, "{}", result.table.text());
        assert!(figure(Design::StoreThenCharge, 0).abs() < 1e-9, "{}", result.table.text());
        assert!(figure(Design::StoreThenCharge, 1) > 0.0, "{}", result.table.text());
        assert_eq!(result.records.len(), Design::ALL.len());
    }

    #[tokio::test]
    async fn every_design_is_right_without_a_fault() {
        let cluster = TestCluster::shared().await.expect("a server");
        let context = Context::quiet(1, 1, Some(cluster.server().clone()));
        let url = context.database("lab_payments_without_a_fault").await.expect("a database");
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        let mut session = options.connect().await.expect("a session");
        postgres::run_sql(&mut session, designs::SCHEMA).await.expect("a schema");
        let mut rng = context.random("test", 0);
        for (case_id, design) in (1..).zip(Design::ALL) {
            let case = run_case((design, case_id), &options, None, &mut rng).await.expect("a case");
            assert!(!case.is_double() && !case.is_lost() && !case.disagrees(), "{design:?} {case:?}");
            assert_eq!(case.ledgers()[0], "provider  fare 18.50, tip 3.00, refund -5.00; sum 16.50");
            assert_eq!(case.answered_paid, [true; 3]);
        }
    }

    #[test]
    fn there_are_thirty_points() {
        assert_eq!(Point::all().len(), 30);
    }
}
