//! Reconciliation: what the last runs found, what was done about it, and what waits for a person.

mod bodies;

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use chrono::TimeDelta;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::super::commands::{self, NewRun, Resolution};
use super::super::model::kinds::{FindingState, Kind, Scope};
use super::super::store::{self, FindingsQuery};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, VersionHeader, parse_id};
use crate::platform::http::{Operators, Reply, Request};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{FindingId, Id, OpsId, PaymentId, RunId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use bodies::{
    AttentionBody, FindingBody, FindingDetail, FindingKind, FindingStatus, Listed, OverviewBody, RepairBody, RunBody,
    RunScope,
};

/// Open findings, and things that wait for a person, that the overview lists.
const LISTED_MAX: u8 = 100;

/// A driver who has not been heard of for so long, with a rider in the car, is a person's concern.
const SILENT_ON_THE_WAY: TimeDelta = TimeDelta::minutes(15);

/// See what differs from the provider's books, and what waits for a person
///
/// As the last run found it: one is made every quarter of an hour, and `POST /v1/ops/reconciliation/runs` asks for one now. The lists have
/// the first hundred, and say how many there are.
#[utoipa::path(get, path = "/v1/ops/reconciliation", tag = "ops", operation_id = "get_reconciliation", security(("ops" = [])),
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
    /// Only those in this state.
    #[param(value_type = Option<FindingStatus>)]
    state: Option<String>,
    /// Only of this kind.
    #[param(value_type = Option<FindingKind>)]
    kind: Option<String>,
    /// Only of this payment.
    #[param(value_type = Option<PaymentId>)]
    payment_id: Option<String>,
    /// `next_cursor` of the page before; absent for the first one.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
}

/// List what runs have found
///
/// The latest first, also what is repaired or resolved by now.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings", tag = "ops", operation_id = "list_findings", security(("ops" = [])),
    params(FindingsParams),
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
/// What differs, since when, and what was done about it. The `ETag` is its version.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings/{finding_id}", tag = "ops", operation_id = "get_finding",
    security(("ops" = [])),
    params(("finding_id" = FindingId, Path, description = "The finding"), KnownVersionHeader),
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
pub(super) struct FindingResolutionRequest {
    /// For whoever reads it later: what was found out, and what was done.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\x00\s][^\x00]*$",
        example = "The charge belongs to our old shop, which uses the same account."
    )]
    note: String,
}

/// Resolve a finding
///
/// Takes it off the list. Nothing is changed in any books; it comes back only if its figures change. One that is not open any more is
/// refused: somebody, or a rule, was faster.
#[utoipa::path(post, path = "/v1/ops/reconciliation/findings/{finding_id}/resolve", tag = "ops", operation_id = "resolve_finding",
    security(("ops" = [])),
    params(("finding_id" = FindingId, Path, description = "The finding"), KeyHeader, VersionHeader),
    request_body = FindingResolutionRequest,
    responses((status = 200, description = "The finding, resolved", body = FindingBody)))]
pub(super) async fn resolve(request: Request<Operators>) -> Reply {
    request
        .command(
            |request| {
                let id = request.id("finding_id")?;
                let FindingResolutionRequest { note } = request.json()?;
                let note = super::note(&note)?;
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
/// The latest first, those that wait or are under way included.
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "list_reconciliation_runs",
    security(("ops" = [])), params(PageQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunBody>)))]
pub(super) async fn runs(request: Request<Operators>) -> Reply {
    let page = request.query::<PageQuery>()?.read()?;
    let runs = request.platform.db.read(page, |conn, page| Box::pin(store::runs(conn, *page))).await?;
    let page = Page::new(runs, page, |run| run.id.uuid());
    let items: Vec<RunBody> = page.items.into_iter().map(RunBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Look at a run
///
/// How it stands, and what it compared and found. It is changed by its worker alone.
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs/{run_id}", tag = "ops", operation_id = "get_reconciliation_run",
    security(("ops" = [])),
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
    #[schema(value_type = Option<RunScope>)]
    scope: Option<String>,
}

/// Compare the books now
///
/// It is `asked` when this answers, and begins within seconds; follow it at its address. One that waits already is answered with 200
/// instead: it will see whatever is there now, so asking twice compares once.
#[utoipa::path(post, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "ask_for_reconciliation_run",
    security(("ops" = [])), params(KeyHeader), request_body = Option<RunRequest>,
    responses((status = 201, description = "The run, asked for", body = RunBody),
              (status = 200, description = "One that waits already", body = RunBody)))]
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
