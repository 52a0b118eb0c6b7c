//! Reconciliation: what the last runs found, what was done about it, and what waits for a person.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::commands::{self, NewRun, Resolution};
use super::super::model::findings::{Counts, Finding, Run};
use super::super::model::kinds::{FindingState, Kind, Scope};
use super::super::store::{self, Attention, FindingsQuery, RepairRow};
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, VersionHeader, parse_id};
use crate::platform::http::{Operators, Reply, Request};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{FindingId, Id, OpsId, PaymentId, RunId, TripId};
use crate::platform::page::{Page, PageQuery, PageRequest};

/// Open findings, and things that wait for a person, that the overview lists.
const LISTED_MAX: u8 = 100;

/// A driver who has not been heard of for so long, with a rider in the car, is a person's concern.
const SILENT_ON_THE_WAY: TimeDelta = TimeDelta::minutes(15);

/// The longest note.
const NOTE_CHARS_MAX: usize = 1_000;

/// What differs from the provider's books, and what waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverviewBody {
    /// The run that was asked for or begun last; `null` before the first one.
    last_run: Option<RunBody>,
    /// The last run that came to know something: the findings are of its time.
    last_checked_run: Option<RunBody>,
    /// How many findings are open, by kind; kinds that have none are left out.
    open: BTreeMap<String, i64>,
    /// Open findings: the books differ, and no rule has helped so far.
    findings: Listed<FindingBody>,
    /// Payments, refunds, trips and deliveries that do not go on by themselves.
    attention: Listed<AttentionBody>,
}

/// The first hundred of a list, and how long it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    /// How many there are.
    total: u64,
    /// The first of them.
    items: Vec<T>,
}

/// A difference between the books, from the first run that saw it to its end. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FindingBody {
    id: FindingId,
    /// In what the books differ; `docs/reconciliation.md` explains each.
    #[schema(value_type = String, example = "held_there_trip_over")]
    kind: &'static str,
    /// The provider's id of the thing, where it has one, else ours.
    #[schema(example = "pi_3Nqz")]
    subject: String,
    /// What differs; reads on from the subject.
    #[schema(example = "holds 1000 USD, and the trip is over")]
    what: String,
    /// `open`, `repaired` or `resolved`.
    #[schema(value_type = String)]
    state: &'static str,
    payment_id: Option<PaymentId>,
    trip_id: Option<TripId>,
    /// The provider's intent.
    intent_id: Option<String>,
    /// What our books say, minor units, where the difference is one of amounts.
    ours: Option<i64>,
    /// What the provider's books say, minor units.
    theirs: Option<i64>,
    currency: Option<String>,
    /// The rule that covers it: `none`, `look_again`, `release`, `cancel_intent` or `adopt_refund`.
    #[schema(value_type = String)]
    repair: &'static str,
    /// How often it was applied. After five times it is a person's.
    repairs_tried: i64,
    first_seen_at: MachineTime,
    last_seen_at: MachineTime,
    /// When it was repaired or resolved.
    ended_at: Option<MachineTime>,
    /// The operator who resolved it; `null` if it went away by itself.
    #[schema(value_type = Option<String>)]
    resolved_by: Option<OpsId>,
    /// Why.
    note: Option<String>,
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let (ours, theirs) = finding.figures.unzip();
        Self {
            id: finding.id,
            kind: finding.kind.as_str(),
            subject: finding.subject,
            what: finding.what,
            state: finding.state.as_str(),
            payment_id: finding.payment_id,
            trip_id: finding.trip_id,
            intent_id: finding.intent_id,
            ours,
            theirs,
            currency: finding.currency,
            repair: finding.repair.as_str(),
            repairs_tried: finding.repairs_tried,
            first_seen_at: finding.first_seen_at,
            last_seen_at: finding.last_seen_at,
            ended_at: finding.ended_at,
            resolved_by: finding.resolved_by,
            note: finding.note,
        }
    }
}

/// A finding, and what was done about it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FindingDetail {
    #[serde(flatten)]
    finding: FindingBody,
    /// In order.
    repairs: Vec<RepairBody>,
}

/// What a run did about a finding. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RepairBody {
    run_id: RunId,
    repair: String,
    /// `started`, `succeeded`, `declined`, `not_sent` or `unknown`. Whatever it says, the next run sees from the provider's books
    /// what became of it.
    outcome: String,
    detail: Option<String>,
    started_at: MachineTime,
    finished_at: Option<MachineTime>,
}

impl From<RepairRow> for RepairBody {
    fn from(row: RepairRow) -> Self {
        let RepairRow { run_id, repair, outcome, detail, started_at, finished_at } = row;
        Self { run_id, repair, outcome, detail, started_at, finished_at }
    }
}

/// One comparison of the books. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunBody {
    id: RunId,
    /// `recent`: payments of the last days; `all`.
    #[schema(value_type = String)]
    scope: &'static str,
    /// The operator who asked for it; `null`: the schedule.
    #[schema(value_type = Option<String>)]
    asked_by: Option<OpsId>,
    /// `asked`, `running`, `checked`; `unchecked`: the provider did not show its books; `abandoned`: its process is gone.
    #[schema(value_type = String)]
    state: &'static str,
    asked_at: MachineTime,
    started_at: Option<MachineTime>,
    finished_at: Option<MachineTime>,
    /// How long it took.
    duration_ms: Option<i64>,
    /// It compares payments made since then; everything if `null`.
    since: Option<MachineTime>,
    /// Payments of ours that were compared.
    payments: i64,
    /// Trips that are over and have unfinished work; they are compared when it is done.
    unsettled: i64,
    /// Intents of the provider.
    intents: i64,
    /// Refunds of the provider.
    refunds: i64,
    /// Differences.
    differences: i64,
    /// Differences that no run had seen before.
    found: i64,
    /// Repairs that were tried.
    repairs: i64,
    /// Findings that are gone.
    ended: i64,
    /// Why it is unchecked.
    detail: Option<String>,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        let Counts { payments, unsettled, intents, refunds, differences, found, repairs, ended } = run.counts;
        let duration = run.started_at.zip(run.finished_at).map(|(from, to)| to.since(from).num_milliseconds());
        Self {
            id: run.id,
            scope: run.scope.as_str(),
            asked_by: run.asked_by,
            state: run.state.as_str(),
            asked_at: run.asked_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: duration,
            since: run.since,
            payments,
            unsettled,
            intents,
            refunds,
            differences,
            found,
            repairs,
            ended,
            detail: run.detail,
        }
    }
}

/// Something that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttentionBody {
    #[schema(example = "pay_01jd3n9k8zf4r8x2v5m7q0w1et")]
    subject: String,
    trip_id: Option<TripId>,
    /// Why; reads on from the subject.
    what: String,
}

impl From<Attention> for AttentionBody {
    fn from(attention: Attention) -> Self {
        let Attention { subject, trip_id, what } = attention;
        Self { subject, trip_id, what }
    }
}

/// What differs from the provider's books, and what waits for a person
///
/// As the last run found it: one is made every quarter of an hour, and `POST /v1/ops/reconciliation/runs` asks for one now.
#[utoipa::path(get, path = "/v1/ops/reconciliation", tag = "ops", operation_id = "get_reconciliation",
    responses((status = 200, description = "Open findings, and the operators' queue", body = OverviewBody)))]
pub(super) async fn overview(request: Request<Operators>) -> Reply {
    let silent_since = request.platform.clock.domain() - SILENT_ON_THE_WAY;
    let first = PageQuery { cursor: None, limit: Some(LISTED_MAX) }.read()?;
    let body = request
        .platform
        .db
        .snapshot((), move |conn, ()| {
            Box::pin(async move {
                let latest = store::runs(conn, PageRequest { limit: 1, ..first }).await?;
                let open: BTreeMap<_, _> = store::open_by_kind(conn).await?.into_iter().collect();
                let query =
                    FindingsQuery { state: Some(FindingState::Open), kind: None, payment_id: None, page: first };
                let findings = store::findings(conn, &query).await?;
                let (waiting, attention) = store::attention(conn, silent_since, i64::from(LISTED_MAX)).await?;
                Ok(OverviewBody {
                    last_run: latest.into_iter().next().map(RunBody::from),
                    last_checked_run: store::last_checked(conn).await?.map(RunBody::from),
                    findings: Listed {
                        total: open.values().sum::<i64>().unsigned_abs(),
                        items: findings.into_iter().take(usize::from(LISTED_MAX)).map(FindingBody::from).collect(),
                    },
                    open,
                    attention: Listed {
                        total: waiting,
                        items: attention.into_iter().map(AttentionBody::from).collect(),
                    },
                })
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(body))
}

/// Which findings. What is absent does not restrict.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FindingsParams {
    /// `open`, `repaired` or `resolved`.
    state: Option<String>,
    /// Only of this kind, such as `held_there_trip_over`.
    kind: Option<String>,
    /// Only of this payment.
    #[param(value_type = Option<PaymentId>)]
    payment_id: Option<String>,
    /// `next_cursor` of the page before; absent for the first one.
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    limit: Option<u8>,
}

/// List what runs have found
///
/// The latest first.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings", tag = "ops", operation_id = "list_findings", params(FindingsParams),
    responses((status = 200, description = "A page of findings", body = Page<FindingBody>)))]
pub(super) async fn findings(request: Request<Operators>) -> Reply {
    let params: FindingsParams = request.query()?;
    let page = PageQuery { cursor: params.cursor, limit: params.limit }.read()?;
    let states = FindingState::ALL.iter().map(|state| state.as_str());
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
    let query = FindingsQuery {
        state: one_of("state", params.state.as_deref(), FindingState::named, states)?,
        kind: one_of("kind", params.kind.as_deref(), Kind::named, kinds)?,
        payment_id: params.payment_id.map(|text| parse_id(&text, "payment_id")).transpose()?,
        page,
    };
    let found = request.platform.db.read(query, |conn, query| Box::pin(store::findings(conn, query))).await?;
    let page = Page::new(found, page, |finding| finding.id.uuid());
    let items: Vec<FindingBody> = page.items.into_iter().map(FindingBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Reads a parameter that is one of a few names.
fn one_of<T>(
    parameter: &str,
    text: Option<&str>,
    named: impl Fn(&str) -> Option<T>,
    names: impl Iterator<Item = &'static str>,
) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let Some(found) = named(text) else {
        let detail = format!("must be one of {}", names.collect::<Vec<_>>().join(", "));
        let refusal = Refusal::new(Code::InvalidRequest, format!("`{parameter}` {detail}."));
        return Err(refusal.field(parameter, detail).into());
    };
    Ok(Some(found))
}

/// Look at a finding
///
/// With what was done about it.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings/{finding_id}", tag = "ops", operation_id = "get_finding",
    params(("finding_id" = FindingId, Path, description = "The finding")),
    responses((status = 200, description = "The finding; its `ETag` is its version", body = FindingDetail)))]
pub(super) async fn finding(request: Request<Operators>) -> Reply {
    let id: FindingId = request.id("finding_id")?;
    let (finding, repairs) = request
        .platform
        .db
        .read(id, |conn, id| {
            Box::pin(async move {
                let finding = store::finding(conn, *id).await?.ok_or_else(|| Refusal::not_found("finding"))?;
                Ok((finding, store::repairs_of(conn, *id).await?))
            })
        })
        .await?;
    let version = finding.version;
    let repairs = repairs.into_iter().map(RepairBody::from).collect();
    Ok(request.respond(&FindingDetail { finding: finding.into(), repairs }, version))
}

/// Why a finding is done with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveRequest {
    /// For whoever reads it later: what was found out, and what was done.
    #[schema(min_length = 1, max_length = 1_000)]
    note: String,
}

/// Resolve a finding
///
/// Takes it off the list. Nothing is changed in any books; it comes back only if its figures change.
#[utoipa::path(post, path = "/v1/ops/reconciliation/findings/{finding_id}/resolve", tag = "ops", operation_id = "resolve_finding",
    params(("finding_id" = FindingId, Path, description = "The finding"), KeyHeader, VersionHeader),
    request_body = ResolveRequest,
    responses((status = 200, description = "The finding, resolved", body = FindingBody)))]
pub(super) async fn resolve(request: Request<Operators>) -> Reply {
    request
        .command(
            |request| {
                let id = request.id("finding_id")?;
                let ResolveRequest { note } = request.json()?;
                let note = note.trim().to_owned();
                if !(1..=NOTE_CHARS_MAX).contains(&note.chars().count()) || note.contains('\0') {
                    let detail = format!("must be 1 to {NOTE_CHARS_MAX} characters");
                    let refusal = Refusal::new(Code::InvalidRequest, format!("`note` {detail}."));
                    return Err(refusal.field("/note", detail).into());
                }
                let by = OpsId::from(request.caller().subject);
                Ok(Resolution { id, by, note, if_version: request.if_match()?, at: request.platform.clock.machine() })
            },
            |tx, resolution| Box::pin(commands::resolve(tx, resolution)),
            |finding| Answer::ok(&FindingBody::from(finding.clone()), finding.version),
        )
        .await
}

/// List the runs
///
/// The latest first.
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "list_reconciliation_runs", params(PageQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunBody>)))]
pub(super) async fn runs(request: Request<Operators>) -> Reply {
    let page = request.query::<PageQuery>()?.read()?;
    let runs = request.platform.db.read(page, |conn, page| Box::pin(store::runs(conn, *page))).await?;
    let page = Page::new(runs, page, |run| run.id.uuid());
    let items: Vec<RunBody> = page.items.into_iter().map(RunBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Look at a run
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs/{run_id}", tag = "ops", operation_id = "get_reconciliation_run",
    params(("run_id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunBody)))]
pub(super) async fn run(request: Request<Operators>) -> Reply {
    let id: RunId = request.id("run_id")?;
    let run = request.platform.db.read(id, |conn, id| Box::pin(store::run(conn, *id))).await?;
    let run = run.ok_or_else(|| Refusal::not_found("run"))?;
    Ok(HttpResponse::Ok().json(RunBody::from(run)))
}

/// What to compare.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunRequest {
    /// `all`, the default; or `recent`: payments of the last eight days.
    scope: Option<String>,
}

/// Compare the books now
///
/// It is `asked` when this answers, and begins within seconds; follow it at its address. One that waits already is answered with
/// 200 instead: it will see whatever is there now.
#[utoipa::path(post, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "ask_for_reconciliation_run",
    params(KeyHeader), request_body = RunRequest,
    responses((status = 201, description = "The run", body = RunBody), (status = 200, description = "One that waits already", body = RunBody)))]
pub(super) async fn ask(request: Request<Operators>) -> Reply {
    request
        .command(
            |request| {
                let RunRequest { scope } = match request.body.is_empty() {
                    true => RunRequest::default(),
                    false => request.json()?,
                };
                let names = Scope::ALL.iter().map(|scope| scope.as_str());
                let scope = one_of("/scope", scope.as_deref(), Scope::named, names)?.unwrap_or(Scope::All);
                let (platform, by) = (&request.platform, OpsId::from(request.caller().subject));
                let at = platform.clock.machine();
                Ok(NewRun { id: platform.dice.id(at), scope, by, at })
            },
            |tx, new| Box::pin(commands::ask(tx, new)),
            |(run, is_new)| {
                let body = RunBody::from(run.clone());
                match is_new {
                    true => Answer::created(&body, format!("/v1/ops/reconciliation/runs/{}", run.id), 1),
                    false => Answer::ok(&body, 1),
                }
            },
        )
        .await
}
