//! The four designs. Each takes five steps for one operation; a step is one statement, one commit or one call.

use sqlx::AssertSqlSafe;

use super::process::{Process, Stop};
use super::{Operation, STEPS};

/// The tables of all designs. `postings` has the service's constraint, `plain_postings` has none.
pub(super) const SCHEMA: &str = "
create table stored_keys (key text primary key);
create table payments (id bigint generated always as identity primary key, key text not null, state text not null);
create index payments_by_key on payments (key);
create table payment_attempts (
    provider_key text primary key,
    case_id      int  not null,
    operation    text not null,
    outcome      text not null check (outcome in ('started', 'succeeded'))
);
create index payment_attempts_open on payment_attempts (case_id) where outcome = 'started';
create table plain_postings (key text not null);
create index plain_postings_by_key on plain_postings (key);
create table postings (key text not null constraint posted_once unique);
";

/// A way to charge once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Design {
    /// Charges, then stores the caller's key with the answer.
    ChargeThenStore,
    /// Stores the caller's key, then charges.
    StoreThenCharge,
    /// Takes a call without an answer for a failure.
    TimeOutIsFailure,
    /// Commits the attempt with its key before the call, and repeats the call under that key.
    AttemptFirst,
}

impl Design {
    pub(super) const ALL: [Self; 4] =
        [Self::ChargeThenStore, Self::StoreThenCharge, Self::TimeOutIsFailure, Self::AttemptFirst];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ChargeThenStore => "charge, then store the key",
            Self::StoreThenCharge => "store the key, then charge",
            Self::TimeOutIsFailure => "a time-out is a failure",
            Self::AttemptFirst => "attempt and key commit first",
        }
    }

    /// Returns the step that calls the provider.
    pub(super) fn call_step(self) -> usize {
        if self == Self::ChargeThenStore { 2 } else { 3 }
    }

    /// Returns the table with our postings.
    pub(super) fn postings(self) -> &'static str {
        if self == Self::AttemptFirst { "postings" } else { "plain_postings" }
    }

    /// Answers one request. `Ok` means that the client is answered "paid".
    pub(super) async fn handle(self, process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
        match self {
            Self::ChargeThenStore => charge_then_store(process, request).await,
            Self::StoreThenCharge => store_then_charge(process, request).await,
            Self::TimeOutIsFailure => time_out_is_failure(process, request).await,
            Self::AttemptFirst => attempt_first(process, request).await,
        }
    }

    /// Does what a process does when it starts: looks after what a crash left open in this case.
    pub(super) async fn recover(self, process: &mut Process<'_>, case_id: i64) -> Result<(), Stop> {
        match self {
            Self::ChargeThenStore | Self::StoreThenCharge => Ok(()),
            Self::TimeOutIsFailure => {
                let sweep = "update payments set state = 'failed' where state = 'pending'";
                sqlx::query(sweep).execute(&mut process.session).await?;
                Ok(())
            }
            Self::AttemptFirst => {
                let open = "select operation from payment_attempts where case_id = $1 and outcome = 'started'";
                let open: Vec<String> = sqlx::query_scalar(open).bind(case_id).fetch_all(&mut process.session).await?;
                for operation in
                    Operation::ALL.into_iter().filter(|operation| open.iter().any(|name| name == operation.name()))
                {
                    call_and_record(process, &Request { case_id, operation }).await?;
                }
                Ok(())
            }
        }
    }
}

/// A request of the client. A retry is the same request with the same key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) case_id: i64,
    pub(super) operation: Operation,
}

impl Request {
    /// The client's idempotency key.
    pub(super) fn key(&self) -> String {
        format!("{}-{}", self.case_id, self.operation.name())
    }
}

async fn exists(process: &mut Process<'_>, query: &'static str, key: &str) -> Result<bool, Stop> {
    Ok(sqlx::query_scalar(query).bind(key).fetch_one(&mut process.session).await?)
}

async fn charge_then_store(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let (operation, key) = (request.operation, request.key());
    let stored = "select exists (select from stored_keys where key = $1)";
    if process.lookup((operation, 1), stored, &key).await? {
        return Ok(());
    }
    process.call(operation, 2, None).await?;
    process.sql(operation, 3, format!("begin; insert into stored_keys values ('{key}')")).await?;
    process.sql(operation, 4, format!("insert into plain_postings values ('{key}')")).await?;
    process.sql(operation, STEPS, "commit".into()).await
}

async fn store_then_charge(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let (operation, key) = (request.operation, request.key());
    if exists(process, "select exists (select from stored_keys where key = $1)", &key).await? {
        // Another process has it, or had it.
        return Ok(());
    }
    process.sql(operation, 1, format!("begin; insert into stored_keys values ('{key}')")).await?;
    process.sql(operation, 2, "commit".into()).await?;
    process.call(operation, 3, None).await?;
    process.sql(operation, 4, format!("begin; insert into plain_postings values ('{key}')")).await?;
    process.sql(operation, STEPS, "commit".into()).await
}

async fn time_out_is_failure(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let key = request.key();
    if exists(process, "select exists (select from payments where key = $1 and state = 'succeeded')", &key).await? {
        return Ok(());
    }
    let paid = pay(process, request).await;
    if matches!(paid, Err(Stop::AnswerLost)) {
        // The client is answered "payment failed, please try again".
        let fail = "update payments set state = 'failed' where key = $1 and state = 'pending'";
        sqlx::query(fail).bind(&key).execute(&mut process.session).await?;
    }
    paid
}

/// Makes a payment with a provider key of its own.
async fn pay(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let (operation, key) = (request.operation, request.key());
    process.sql(operation, 1, format!("begin; insert into payments (key, state) values ('{key}', 'pending')")).await?;
    process.sql(operation, 2, "commit".into()).await?;
    let last = "select max(id) from payments where key = $1";
    let id: i64 = sqlx::query_scalar(last).bind(&key).fetch_one(&mut process.session).await?;
    process.call(operation, 3, Some(&format!("payment-{id}"))).await?;
    let record = format!(
        "begin; update payments set state = 'succeeded' where id = {id}; insert into plain_postings values ('{key}')"
    );
    process.sql(operation, 4, record).await?;
    process.sql(operation, STEPS, "commit".into()).await
}

async fn attempt_first(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let Request { case_id, operation } = *request;
    let key = request.key();
    let done = "select exists (select from payment_attempts where provider_key = $1 and outcome = 'succeeded')";
    if exists(process, done, &key).await? {
        return Ok(());
    }
    let started = format!(
        "begin; insert into payment_attempts values ('{key}', {case_id}, '{}', 'started') on conflict do nothing",
        operation.name()
    );
    process.sql(operation, 1, started).await?;
    process.sql(operation, 2, "commit".into()).await?;
    call_and_record(process, request).await
}

/// Calls under the attempt's key, which the provider performs once, and records the result, which the constraint posts once.
async fn call_and_record(process: &mut Process<'_>, request: &Request) -> Result<(), Stop> {
    let (operation, key) = (request.operation, request.key());
    process.call(operation, 3, Some(&key)).await?;
    let record = format!(
        "begin; update payment_attempts set outcome = 'succeeded' where provider_key = '{key}'; insert into postings \
         values ('{key}') on conflict do nothing"
    );
    process.sql(operation, 4, record).await?;
    process.sql(operation, STEPS, "commit".into()).await
}

/// Returns how often each operation of a case is posted.
pub(super) async fn posted(process: &mut Process<'_>, design: Design, case_id: i64) -> Result<[usize; 3], Stop> {
    let mut counts = [0; 3];
    for (operation, count) in Operation::ALL.into_iter().zip(&mut counts) {
        let query = format!("select count(*) from {} where key = $1", design.postings());
        let key = Request { case_id, operation }.key();
        let posted: i64 = sqlx::query_scalar(AssertSqlSafe(query)).bind(key).fetch_one(&mut process.session).await?;
        *count = usize::try_from(posted).unwrap_or(0);
    }
    Ok(counts)
}
