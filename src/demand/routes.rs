//! `GET /v1/zones/trending` and `/v1/ops/surge`.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::model::Override;
use super::sketch::{Estimate, HALF_LIFE};
use super::state::{Demand, DemandView};
use super::surge::{NO_SURGE_BP, OVERRIDE_MAX_BP};
use super::views::SurgeBody;
use super::zones::Zone;
use super::{commands, worker};
use crate::geo::Position;
use crate::geo::cells::{Cell, RESOLUTION};
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::KnownVersionHeader;
use crate::platform::http::{HttpResult, Operators, Participants, Request};
use crate::platform::ids::OpsId;
use crate::platform::switch::Switch;
use crate::platform::text::{Lines, NOTE_CHARS_MAX, check_text};

/// The number of trending zones if the request names none.
const TRENDING_DEFAULT: u8 = 10;

/// The maximum number of trending zones.
const TRENDING_MAX: u8 = 100;

/// The steps in which trending zones decay, seconds of domain time: as often as requests are counted.
const AS_OF_STEP_S: i64 = 5;

/// How far ahead an override may end. Longer ones are forgotten.
const OVERRIDE_LASTS_MAX: TimeDelta = TimeDelta::hours(24);

/// The module's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(trending, list_surge, set_surge, delete_surge))]
pub struct Api;

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/zones/trending").route(web::get().to(trending)))
        .service(web::resource("/v1/ops/surge").route(web::get().to(list_surge)))
        .service(
            web::resource("/v1/ops/surge/{cell}").route(web::put().to(set_surge)).route(web::delete().to(delete_surge)),
        );
}

/// How many zones to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrendingQuery {
    /// The number of zones, 1 to 100; 10 if absent.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u8>,
}

/// The boundary of a zone, a GeoJSON polygon of one ring.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; `polygon` builds the value")]
struct ZonePolygon {
    /// The geometry's type.
    r#type: PolygonType,
    /// One ring.
    #[schema(min_items = 1, max_items = 1)]
    coordinates: Vec<Ring>,
}

/// The GeoJSON type.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only")]
enum PolygonType {
    Polygon,
}

/// The corners, counterclockwise; the last one is the first.
#[derive(ToSchema)]
#[schema(as = ZoneRing, min_items = 6, max_items = 11)]
#[expect(dead_code, reason = "schema only")]
struct Ring(Vec<Corner>);

/// A corner: longitude, then latitude, in degrees.
#[derive(ToSchema)]
#[schema(as = ZoneCorner, min_items = 2, max_items = 2, example = json!([-73.9857, 40.7484]))]
#[expect(dead_code, reason = "schema only")]
struct Corner(Vec<ZoneDegrees>);

/// Degrees, -180 to 180.
#[derive(ToSchema)]
#[schema(minimum = -180.0, maximum = 180.0)]
#[expect(dead_code, reason = "schema only")]
struct ZoneDegrees(f64);

/// A zone with many requests.
#[derive(Debug, Serialize, ToSchema)]
struct TrendingZone {
    /// The cell.
    cell: Cell,
    /// Its center.
    center: Position,
    /// Its boundary.
    #[schema(value_type = ZonePolygon)]
    boundary: Value,
    /// Requested trips, each counting half every five minutes. Never too low.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    requests: f64,
    /// How much too high `requests` is at most.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    error: f64,
    /// Free drivers in the cell; `null` if they were not counted within the last 30 s.
    #[schema(minimum = 0)]
    idle_drivers: Option<i32>,
    /// Its surge.
    surge: SurgeBody,
}

/// The zones with the most requests.
#[derive(Debug, Serialize, ToSchema)]
struct TrendingBody {
    /// When the counts hold (domain time), in steps of 5 s.
    as_of: DomainTime,
    /// The H3 resolution of the cells.
    #[schema(minimum = 8, maximum = 8)]
    resolution: u8,
    /// The time after which a request counts half, seconds of domain time.
    #[schema(minimum = 300, maximum = 300)]
    half_life_s: i64,
    /// The most requests that a cell without a counter can have.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    unlisted_max: f64,
    /// The zones, those with the most requests first.
    #[schema(max_items = 100)]
    items: Vec<TrendingZone>,
}

/// List trending zones
///
/// The cells in which most trips are requested, counted by all processes together. A request counts half after five minutes of domain time, a
/// quarter after ten. Memory is bounded, so counts can be too high: `error` says by how much at most. The counts are a few seconds old.
#[utoipa::path(get, path = "/v1/zones/trending", tag = "zones", operation_id = "list_trending_zones",
    security(("rider" = []), ("driver" = []), ("ops" = [])), params(TrendingQuery, KnownVersionHeader),
    responses((status = 200, description = "The zones; the `ETag` changes with them", body = TrendingBody)))]
async fn trending(request: Request<Participants>, demand: web::Data<Demand>) -> HttpResult {
    let query: TrendingQuery = request.query()?;
    let limit = query.limit.unwrap_or(TRENDING_DEFAULT);
    if !(1..=TRENDING_MAX).contains(&limit) {
        let detail = format!("must be 1 to {TRENDING_MAX}");
        return Err(Refusal::new(Code::InvalidRequest, format!("`limit` {detail}.")).field("limit", detail).into());
    }
    let view = demand.view();
    let body = trending_body(&view, demand.surge(), usize::from(limit), &request.platform);
    request.respond(&body, view.version)
}

fn trending_body(view: &DemandView, computed: Switch, limit: usize, platform: &Platform) -> TrendingBody {
    let (now, machine_now) = (platform.clock.domain(), platform.clock.machine());
    // Not the landmark alone, which moves with requests only: without them zones decay as well.
    let as_of = in_steps(now).max(view.sketch.landmark());
    let mut sketch = view.sketch.clone();
    sketch.compact(as_of);
    let zones = view.current_zones(machine_now);
    let item = |Estimate { cell, count, error }: Estimate| TrendingZone {
        cell,
        center: cell.center(),
        boundary: polygon(cell),
        requests: rounded(count),
        error: rounded(error),
        idle_drivers: zones.and_then(|states| states.zones.get(&cell)).map(|zone| zone.idle),
        surge: view.surge_of(cell, (now, machine_now), computed).into(),
    };
    TrendingBody {
        as_of,
        resolution: RESOLUTION,
        half_life_s: HALF_LIFE.num_seconds(),
        unlisted_max: rounded(sketch.floor(as_of)),
        items: sketch.top(limit, as_of).into_iter().map(item).collect(),
    }
}

/// Truncates a time to whole steps, so that a representation and its `ETag` last for one.
fn in_steps(now: DomainTime) -> DomainTime {
    let seconds = now.utc().timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(AS_OF_STEP_S), 0).map_or(now, DomainTime::new)
}

/// Returns the boundary of a cell as GeoJSON.
fn polygon(cell: Cell) -> Value {
    let mut ring: Vec<[f64; 2]> = cell.boundary().iter().map(|corner| [corner.lon(), corner.lat()]).collect();
    ring.extend(ring.first().copied());
    json!({"type": "Polygon", "coordinates": [ring]})
}

/// Rounds to thousandths of a request.
fn rounded(requests: f64) -> f64 {
    (requests * 1e3).round() / 1e3
}

/// A multiplier that an operator has set.
#[derive(Debug, Serialize, ToSchema)]
struct OverrideBody {
    /// The cell.
    cell: Cell,
    /// The multiplier, basis points.
    #[schema(minimum = 10_000, maximum = 30_000)]
    multiplier_bp: i32,
    /// Why, in the operator's words.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The operator.
    set_by: OpsId,
    /// When it was set (domain time).
    set_at: DomainTime,
    /// When it ends (domain time).
    expires_at: DomainTime,
}

impl From<&Override> for OverrideBody {
    fn from(set: &Override) -> Self {
        Self {
            cell: set.cell,
            multiplier_bp: set.multiplier_bp,
            reason: set.reason.clone(),
            set_by: set.set_by,
            set_at: set.set_at,
            expires_at: set.expires_at,
        }
    }
}

/// A cell with surge, or with an override.
#[derive(Debug, Serialize, ToSchema)]
struct SurgeCell {
    /// The cell.
    cell: Cell,
    /// Its center.
    center: Position,
    /// The multiplier that quotes get, basis points.
    #[schema(minimum = 10_000, maximum = 30_000)]
    multiplier_bp: i32,
    /// The computed multiplier; `null` if none was computed within the last 30 s.
    #[schema(minimum = 10_000, maximum = 20_000)]
    computed_bp: Option<i32>,
    /// Trips expected in the cell and its ring within five minutes; `null` if none were counted within the last 30 s.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    expected_requests: Option<f64>,
    /// Free drivers in the cell and its ring; `null` with `expected_requests`.
    #[schema(minimum = 0)]
    idle_drivers: Option<i32>,
    /// What an operator has set; `null` if nothing.
    #[serde(rename = "override")]
    set: Option<OverrideBody>,
}

/// The surge of all cells.
#[derive(Debug, Serialize, ToSchema)]
struct SurgeListBody {
    /// Whether multipliers are computed.
    computed: Switch,
    /// When they were computed last (domain time); `null` if they are stale or were never computed: then only overrides count.
    as_of: Option<DomainTime>,
    /// The cells with surge or an override, by cell.
    #[schema(max_items = 14_096)]
    items: Vec<SurgeCell>,
}

/// List surge
///
/// The cells with a multiplier, with the demand and the supply from which it was computed, and what operators have set. Without a matcher
/// for 30 s the computed multipliers do not count.
#[utoipa::path(get, path = "/v1/ops/surge", tag = "zones", operation_id = "list_surge", security(("ops" = [])),
    responses((status = 200, description = "The cells with surge or an override", body = SurgeListBody)))]
async fn list_surge(request: Request<Operators>, demand: web::Data<Demand>) -> HttpResult {
    worker::refresh(&request.platform, &demand).await?;
    Ok(HttpResponse::Ok().json(surge_list(&demand, &request.platform)))
}

fn surge_list(demand: &Demand, platform: &Platform) -> SurgeListBody {
    let (now, machine_now) = (platform.clock.domain(), platform.clock.machine());
    let view = demand.view();
    let current = view.current_zones(machine_now);
    let zone = |cell: Cell| current.and_then(|states| states.zones.get(&cell));
    let is_surging = |zone: &&Zone| zone.multiplier_bp != NO_SURGE_BP;
    let surging = current.iter().flat_map(|states| states.zones.values()).filter(is_surging).map(|zone| zone.cell);
    let mut cells: Vec<Cell> = surging.chain(view.overrides.keys().copied()).collect();
    cells.sort_unstable();
    cells.dedup();
    let item = |cell: Cell| SurgeCell {
        cell,
        center: cell.center(),
        multiplier_bp: view.surge_of(cell, (now, machine_now), demand.surge()).multiplier_bp,
        computed_bp: current.map(|_| zone(cell).map_or(NO_SURGE_BP, |zone| zone.multiplier_bp)),
        expected_requests: zone(cell).map(|zone| zone.nearby.expected_milli as f64 / 1e3),
        idle_drivers: zone(cell).map(|zone| zone.nearby.idle),
        set: view.overrides.get(&cell).map(OverrideBody::from),
    };
    SurgeListBody {
        computed: demand.surge(),
        as_of: current.map(|states| states.as_of),
        items: cells.into_iter().map(item).collect(),
    }
}

/// The multiplier to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OverrideRequest {
    /// The multiplier, basis points; 10,000 is no surge.
    #[schema(minimum = 10_000, maximum = 30_000, example = 15_000)]
    multiplier_bp: i32,
    /// When it ends (domain time): within the next 24 hours.
    expires_at: DomainTime,
    /// Why. For operators; riders see that an operator has set it.
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00]*$", example = "A concert ends at 23:00.")]
    reason: String,
}

impl OverrideRequest {
    fn check(&self, now: DomainTime) -> Result<()> {
        let invalid = |name: &str, detail: String| {
            Refusal::new(Code::InvalidRequest, format!("`{name}` {detail}.")).field(format!("/{name}"), detail)
        };
        if !(NO_SURGE_BP..=OVERRIDE_MAX_BP).contains(&self.multiplier_bp) {
            let detail = format!("must be {NO_SURGE_BP} to {OVERRIDE_MAX_BP} basis points");
            return Err(invalid("multiplier_bp", detail).into());
        }
        if self.expires_at <= now || self.expires_at > now + OVERRIDE_LASTS_MAX {
            let detail = format!("must be after {now} and at most 24 hours later");
            return Err(invalid("expires_at", detail).into());
        }
        Ok(check_text("reason", self.reason.trim(), NOTE_CHARS_MAX, Lines::Many)?)
    }
}

/// Set the surge of a cell
///
/// Replaces what was computed, and what was set before, until it expires. It counts at once in this process, and within seconds in the others.
/// A quote that was made before keeps its price. Who set what, when and why is kept.
#[utoipa::path(put, path = "/v1/ops/surge/{cell}", tag = "zones", operation_id = "set_surge", security(("ops" = [])),
    params(("cell" = Cell, Path, description = "The cell")), request_body = OverrideRequest,
    responses((status = 200, description = "The override", body = OverrideBody)))]
async fn set_surge(request: Request<Operators>, demand: web::Data<Demand>) -> HttpResult {
    let cell = path_cell(&request)?;
    let set_by = operator(&request);
    let body: OverrideRequest = request.json()?;
    let platform = &request.platform;
    let now = platform.clock.domain();
    body.check(now)?;
    let OverrideRequest { multiplier_bp, expires_at, reason } = body;
    let set = Override { cell, multiplier_bp, reason: reason.trim().to_owned(), set_by, set_at: now, expires_at };
    let input = (platform.random.uuid(platform.clock.machine()), set.clone());
    platform.db.transaction(input, |tx, (id, set)| Box::pin(commands::set_override(tx, *id, set))).await?;
    worker::refresh(platform, &demand).await?;
    Ok(HttpResponse::Ok().json(OverrideBody::from(&set)))
}

/// Delete the surge of a cell
///
/// Ends what an operator has set; the computed multiplier counts again. A second DELETE is a 404.
#[utoipa::path(delete, path = "/v1/ops/surge/{cell}", tag = "zones", operation_id = "delete_surge", security(("ops" = [])),
    params(("cell" = Cell, Path, description = "The cell")),
    responses((status = 204, description = "Deleted")))]
async fn delete_surge(request: Request<Operators>, demand: web::Data<Demand>) -> HttpResult {
    let input = (path_cell(&request)?, operator(&request), request.platform.clock.domain());
    request.no_fields()?;
    let platform = &request.platform;
    platform
        .db
        .transaction(input, |tx, (cell, by, now)| Box::pin(commands::delete_override(tx, *cell, *by, *now)))
        .await?;
    worker::refresh(platform, &demand).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn operator(request: &Request<Operators>) -> OpsId {
    request.caller().subject.into()
}

fn path_cell(request: &Request<Operators>) -> Result<Cell> {
    Cell::parse(request.http.match_info().query("cell")).ok_or_else(|| {
        let detail =
            format!("must be an H3 cell of resolution {RESOLUTION}: 15 hexadecimal digits, such as 882a100d2dfffff");
        Refusal::new(Code::InvalidId, format!("`cell` {detail}.")).field("cell", detail).into()
    })
}
