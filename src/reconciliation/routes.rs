//! `/v1/ops/reconciliation`: runs, findings and the review queue, for operators only.

mod bodies;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::commands::{self, FindingResolution};
use super::model::findings::NewRun;
use super::model::kinds::{DifferenceKind, FindingState, RunScope};
use super::store::{self, FindingsQuery};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, VersionHeader, parse_id, parse_note};
use crate::platform::http::{HttpResult, Operators, Request};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::{FindingId, Id, OpsId, PaymentId, RunId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use crate::platform::text::OperatorNote;
use bodies::{CountedItems, FindingBody, FindingDetail, OverviewBody, RepairBody, ReviewItemBody, RunBody};

/// The most findings and review items that the overview lists.
const LISTED_MAX: u8 = 100;

/// The module's part of the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(paths(overview, findings, finding, resolve, runs, run, create_run))]
pub struct Api;

/// Adds the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    let resource = |path: &str| web::resource(format!("/v1/ops/reconciliation{path}"));
    let (get, post) = (web::get, web::post);
    config
        .service(resource("").route(get().to(overview)))
        .service(resource("/findings").route(get().to(findings)))
        .service(resource("/findings/{finding_id}").route(get().to(finding)))
        .service(resource("/findings/{finding_id}/resolve").route(post().to(resolve)))
        .service(resource("/runs").route(get().to(runs)).route(post().to(create_run)))
        .service(resource("/runs/{run_id}").route(get().to(run)));
}

/// Get the reconciliation overview
///
/// The open findings, and the objects that need an operator's decision. A run starts every 15 minutes and compares what changed since the
/// last one;
/// `POST /v1/ops/reconciliation/runs` requests one now. Each list has the first hundred items and the total number.
#[utoipa::path(get, path = "/v1/ops/reconciliation", tag = "ops", operation_id = "get_reconciliation", security(("ops" = [])),
    responses((status = 200, description = "The open findings and the review queue", body = OverviewBody)))]
async fn overview(request: Request<Operators>) -> HttpResult {
    let now = request.platform.clock.domain();
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
                let (total, items) = store::review_queue(conn, now, i64::from(LISTED_MAX)).await?;
                Ok(OverviewBody {
                    last_run: latest.into_iter().next().map(RunBody::from),
                    last_checked_run: store::last_checked(conn).await?.map(RunBody::from),
                    findings: CountedItems {
                        total: open.values().sum::<i64>().unsigned_abs(),
                        items: findings.into_iter().take(usize::from(LISTED_MAX)).map(FindingBody::from).collect(),
                    },
                    open,
                    needs_review: CountedItems { total, items: items.into_iter().map(ReviewItemBody::from).collect() },
                })
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(body))
}

/// The findings to list. An absent parameter does not restrict.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindingsParams {
    /// Only findings in this state.
    #[param(value_type = Option<FindingState>)]
    state: Option<String>,
    /// Only findings of this kind.
    #[param(value_type = Option<DifferenceKind>)]
    kind: Option<String>,
    /// Only findings about this payment.
    #[param(value_type = Option<PaymentId>)]
    payment_id: Option<String>,
    /// The `next_cursor` of the previous page; absent for the first page.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
}

/// List findings
///
/// Latest first, including repaired and resolved ones.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings", tag = "ops", operation_id = "list_findings", security(("ops" = [])),
    params(FindingsParams),
    responses((status = 200, description = "A page of findings", body = Page<FindingBody>)))]
async fn findings(request: Request<Operators>) -> HttpResult {
    let params: FindingsParams = request.query()?;
    let page = PageQuery { cursor: params.cursor, limit: params.limit }.read()?;
    let query = FindingsQuery {
        state: one_of(
            "state",
            params.state.as_deref(),
            FindingState::parse,
            FindingState::ALL.map(FindingState::as_str),
        )?,
        kind: one_of(
            "kind",
            params.kind.as_deref(),
            DifferenceKind::parse,
            DifferenceKind::ALL.map(DifferenceKind::as_str),
        )?,
        payment_id: params.payment_id.map(|text| parse_id(&text, "payment_id")).transpose()?,
        page,
    };
    let found = request.platform.db.read(query, |conn, query| Box::pin(store::findings(conn, query))).await?;
    let page = Page::new(found, page, |finding| finding.id.uuid());
    let items: Vec<FindingBody> = page.items.into_iter().map(FindingBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Parses a parameter or field that takes one of `names`.
fn one_of<T, const N: usize>(
    parameter: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    names: [&str; N],
) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let Some(value) = parse(text) else {
        let detail = format!("must be one of {}", names.join(", "));
        let refusal = Refusal::new(Code::InvalidRequest, format!("`{parameter}` {detail}."));
        return Err(refusal.field(parameter, detail).into());
    };
    Ok(Some(value))
}

/// Get a finding
///
/// The difference, when it was found, and the attempted repairs. The `ETag` is its version.
#[utoipa::path(get, path = "/v1/ops/reconciliation/findings/{finding_id}", tag = "ops", operation_id = "get_finding",
    security(("ops" = [])),
    params(("finding_id" = FindingId, Path, description = "The finding"), KnownVersionHeader),
    responses((status = 200, description = "The finding; its `ETag` is its version", body = FindingDetail)))]
async fn finding(request: Request<Operators>) -> HttpResult {
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
    request.respond(&FindingDetail { finding: finding.into(), repairs }, version)
}

/// The reason to resolve a finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FindingResolutionRequest {
    /// What was found out and what was done; 1 to 500 characters.
    #[schema(value_type = OperatorNote)]
    note: String,
}

/// Resolve a finding
///
/// Closes the finding without changing any payment. The difference becomes a new finding only if its amounts change. A finding that is
/// not open cannot be resolved.
#[utoipa::path(post, path = "/v1/ops/reconciliation/findings/{finding_id}/resolve", tag = "ops", operation_id = "resolve_finding",
    security(("ops" = [])),
    params(("finding_id" = FindingId, Path, description = "The finding"), KeyHeader, VersionHeader),
    request_body = FindingResolutionRequest,
    responses((status = 200, description = "The finding, resolved", body = FindingBody)))]
async fn resolve(request: Request<Operators>) -> HttpResult {
    request
        .command(
            |request| {
                let id = request.id("finding_id")?;
                let FindingResolutionRequest { note } = request.json()?;
                let note = parse_note(&note)?;
                let by = OpsId::from(request.caller().subject);
                Ok(FindingResolution {
                    id,
                    by,
                    note,
                    if_version: request.if_match()?,
                    at: request.platform.clock.machine(),
                })
            },
            |tx, resolution| Box::pin(commands::resolve(tx, resolution)),
            |finding| StoredResponse::ok(&FindingBody::from(finding.clone()), finding.version),
        )
        .await
}

/// List reconciliation runs
///
/// Latest first, including queued and running ones.
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "list_reconciliation_runs",
    security(("ops" = [])), params(PageQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunBody>)))]
async fn runs(request: Request<Operators>) -> HttpResult {
    let page = request.query::<PageQuery>()?.read()?;
    let runs = request.platform.db.read(page, |conn, page| Box::pin(store::runs(conn, *page))).await?;
    let page = Page::new(runs, page, |run| run.id.uuid());
    let items: Vec<RunBody> = page.items.into_iter().map(RunBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Get a reconciliation run
///
/// Its state, and what it compared and found.
#[utoipa::path(get, path = "/v1/ops/reconciliation/runs/{run_id}", tag = "ops", operation_id = "get_reconciliation_run",
    security(("ops" = [])),
    params(("run_id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunBody)))]
async fn run(request: Request<Operators>) -> HttpResult {
    let id: RunId = request.id("run_id")?;
    let run = request.platform.db.read(id, |conn, id| Box::pin(store::run(conn, *id))).await?;
    let run = run.ok_or_else(|| Refusal::not_found("run"))?;
    Ok(HttpResponse::Ok().json(RunBody::from(run)))
}

/// The payments to compare.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RunRequest {
    /// `all`, the default, or `recent` for what was made in the last eight days, refunds and disputes of older payments included.
    #[schema(value_type = Option<RunScope>)]
    scope: Option<String>,
}

/// Request a reconciliation run
///
/// The run is `queued` when this responds, and starts within seconds; poll its URL. If a run is queued already, the response is 200 with
/// that run: it will compare the records as they are when it starts.
#[utoipa::path(post, path = "/v1/ops/reconciliation/runs", tag = "ops", operation_id = "create_reconciliation_run",
    security(("ops" = [])), params(KeyHeader), request_body = Option<RunRequest>,
    responses((status = 201, description = "The queued run", body = RunBody),
              (status = 200, description = "The run that was queued already", body = RunBody)))]
async fn create_run(request: Request<Operators>) -> HttpResult {
    request
        .command(
            |request| {
                let RunRequest { scope } = match request.body.is_empty() {
                    true => RunRequest::default(),
                    false => request.json()?,
                };
                let names = RunScope::ALL.map(RunScope::as_str);
                let scope = one_of("/scope", scope.as_deref(), RunScope::parse, names)?.unwrap_or(RunScope::All);
                let (platform, by) = (&request.platform, OpsId::from(request.caller().subject));
                let at = platform.clock.machine();
                Ok(NewRun { id: platform.random.id(at), scope, by, at })
            },
            |tx, new| Box::pin(commands::request_run(tx, new)),
            |(run, is_new)| {
                let body = RunBody::from(run.clone());
                match is_new {
                    true => StoredResponse::created(&body, format!("/v1/ops/reconciliation/runs/{}", run.id), 1),
                    false => StoredResponse::ok(&body, 1),
                }
            },
        )
        .await
}
