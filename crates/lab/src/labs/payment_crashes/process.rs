//! A process of ours: its connection, its fault, and the steps at which the fault can strike.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::{Operation, STEPS, provider::Provider};
use crate::{Result, postgres};

/// A fault, which strikes once in a case.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) point: Option<Point>,
    has_struck: AtomicBool,
}

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) operation: Operation,
    /// From 1.
    pub(super) step: usize,
    pub(super) kind: FaultKind,
}

/// What strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The process is killed before the step.
    Kill,
    /// The step takes effect, the connection is cut, and the process does not learn the outcome.
    AnswerLost,
}

impl Point {
    /// Returns all: before each step a kill, after each step a lost answer.
    pub(super) fn all() -> Vec<Self> {
        let mut points = Vec::new();
        for operation in Operation::ALL {
            for step in 1..=STEPS {
                for kind in [FaultKind::Kill, FaultKind::AnswerLost] {
                    points.push(Self { operation, step, kind });
                }
            }
        }
        points
    }
}

impl Fault {
    pub(super) fn at(point: Option<Point>) -> Self {
        Self { point, has_struck: AtomicBool::new(false) }
    }

    fn strikes(&self, operation: Operation, step: usize, kind: FaultKind) -> bool {
        self.point == Some(Point { operation, step, kind }) && !self.has_struck.swap(true, Ordering::Relaxed)
    }
}

/// Why a request did not end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The process is gone, with everything that it had in memory.
    Killed,
    /// The process lives, and a call ended without an answer.
    AnswerLost,
    /// Something that this lab does not inject.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// A process of ours. Dropping it closes its connection, so that PostgreSQL rolls back what was open: what it sees of `kill -9`.
#[derive(Debug)]
pub(super) struct Process<'a> {
    pub(super) session: PgConnection,
    options: &'a PgConnectOptions,
    provider: &'a Provider,
    fault: &'a Fault,
}

impl<'a> Process<'a> {
    /// Starts a process.
    pub(super) async fn start(options: &'a PgConnectOptions, provider: &'a Provider, fault: &'a Fault) -> Result<Self> {
        Ok(Self { session: options.connect().await?, options, provider, fault })
    }

    /// Runs one or several statements as a step. The text has no parameter that comes from outside of this lab.
    pub(super) async fn sql(&mut self, operation: Operation, step: usize, text: String) -> Result<(), Stop> {
        self.before(operation, step)?;
        postgres::run_sql(&mut self.session, AssertSqlSafe(text)).await?;
        self.after(operation, step).await
    }

    /// Asks whether a key is stored, as a step.
    pub(super) async fn lookup(
        &mut self,
        (operation, step): (Operation, usize),
        query: &'static str,
        key: &str,
    ) -> Result<bool, Stop> {
        self.before(operation, step)?;
        let found = sqlx::query_scalar(query).bind(key).fetch_one(&mut self.session).await?;
        self.after(operation, step).await.map(|()| found)
    }

    /// Calls the provider as a step.
    pub(super) async fn call(&mut self, operation: Operation, step: usize, key: Option<&str>) -> Result<(), Stop> {
        self.before(operation, step)?;
        self.provider.perform(operation, key);
        self.after(operation, step).await
    }

    fn before(&self, operation: Operation, step: usize) -> Result<(), Stop> {
        if self.fault.strikes(operation, step, FaultKind::Kill) { Err(Stop::Killed) } else { Ok(()) }
    }

    async fn after(&mut self, operation: Operation, step: usize) -> Result<(), Stop> {
        if !self.fault.strikes(operation, step, FaultKind::AnswerLost) {
            return Ok(());
        }
        // The old connection is closed without a word, as a cut makes it.
        self.session = self.options.connect().await?;
        Err(Stop::AnswerLost)
    }
}
