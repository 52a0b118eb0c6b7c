//! Positions in, nearest drivers out.

use std::collections::HashSet;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::{Query, Report, Supply, Verdict};
use crate::geo::Position;
use crate::platform::Platform;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::names::published;
use crate::platform::http::{Drivers, Gateways, Participants, Reply, Request};
use crate::platform::ids::DriverId;
use crate::platform::metrics::Metrics;

/// Positions in one batch at most.
const BATCH_MAX: usize = 1_000;

/// Drivers in one answer at most.
const NEARBY_MAX: u8 = 50;

/// How far `nearby` looks at most, metres.
const RADIUS_MAX_M: f64 = 50_000.0;

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(put_location, post_locations, nearby))]
pub struct Api;

/// The room's addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/drivers/me/location").route(web::put().to(put_location)))
        .service(web::resource("/v1/locations").route(web::post().to(post_locations)))
        .service(web::resource("/v1/drivers/nearby").route(web::get().to(nearby)));
}

/// Where a driver was, and when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationRequest {
    /// Where you were.
    position: Position,
    /// When the device took it (domain time). Never guessed: a position without it is refused.
    recorded_at: DomainTime,
}

published! {
    /// What became of a position.
    ///
    /// * `accepted`: it is the driver's last known position now
    /// * `duplicate`: one with the same time is here already
    /// * `out_of_order`: it is older than the last known one; dropped
    /// * `future`: it was recorded more than 5 s after it came; dropped
    /// * `stale`: it was recorded more than 30 s before it came; dropped
    /// * `offline`: the driver is not online; dropped
    PositionVerdict = Verdict::ALL.iter().map(|verdict| verdict.as_str());
}

/// What became of a position.
#[derive(Debug, Serialize, ToSchema)]
struct VerdictBody {
    /// What became of it.
    #[schema(value_type = PositionVerdict)]
    verdict: &'static str,
}

/// One of many positions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchItem {
    /// Whose it is.
    driver_id: DriverId,
    /// Where they were.
    position: Position,
    /// When the device took it (domain time). Never guessed: a position without it is refused.
    recorded_at: DomainTime,
}

/// What became of one of many positions.
#[derive(Debug, Serialize, ToSchema)]
struct BatchVerdict {
    /// Whose position.
    driver_id: DriverId,
    /// What became of it.
    #[schema(value_type = PositionVerdict)]
    verdict: &'static str,
}

/// What became of many positions.
#[derive(Debug, Serialize, ToSchema)]
struct BatchBody {
    /// How many were accepted.
    #[schema(maximum = 1000)]
    accepted: usize,
    /// One for each, in the order of the request.
    #[schema(max_items = 1000)]
    items: Vec<BatchVerdict>,
}

/// Where to look for drivers.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NearbyQuery {
    /// Degrees north of the equator.
    #[param(minimum = -90, maximum = 90, example = 40.7484)]
    lat: f64,
    /// Degrees east of Greenwich.
    #[param(minimum = -180, maximum = 180, example = -73.9857)]
    lon: f64,
    /// How many drivers, 1 to 50; 5 if absent.
    #[param(minimum = 1, maximum = 50, default = 5)]
    limit: Option<u8>,
    /// How far to look, metres, up to 50 km; 8 km if absent.
    #[param(minimum = 0, maximum = 50000, default = 8000)]
    radius_m: Option<f64>,
    /// Only cars of this class; all if absent.
    class: Option<VehicleClass>,
}

/// An available driver.
#[derive(Debug, Serialize, ToSchema)]
struct NearbyDriver {
    /// The driver.
    driver_id: DriverId,
    /// The class of their car.
    class: VehicleClass,
    /// Where they were last.
    position: Position,
    /// From the place that was asked for, over the great circle, metres.
    #[schema(minimum = 0, maximum = 50_000)]
    distance_m: i64,
    /// How old the position is, milliseconds of domain time; never over 30,000.
    #[schema(minimum = 0, maximum = 30_000)]
    position_age_ms: i64,
}

/// Available drivers, nearest first.
#[derive(Debug, Serialize, ToSchema)]
struct NearbyBody {
    /// The drivers, nearest first.
    #[schema(max_items = 50)]
    items: Vec<NearbyDriver>,
}

fn judge(supply: &Supply, metrics: &Metrics, report: Report, received_at: DomainTime) -> Verdict {
    let verdict = supply.report(report, received_at);
    metrics.positions.with_label_values(&[verdict.as_str()]).inc();
    verdict
}

/// Send where you are
///
/// Every few seconds while online. The time stamp decides: an older position than the last known is dropped, and the answer says so; a
/// repeat is a `duplicate`. So positions may come twice and in any order, and it needs no key. One process at a time keeps the index; the
/// others answer 503 `not_the_matcher`.
#[utoipa::path(put, path = "/v1/drivers/me/location", tag = "drivers", operation_id = "report_location",
    security(("driver" = [])), request_body = LocationRequest,
    responses((status = 200, description = "What became of it", body = VerdictBody)))]
async fn put_location(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    let Some(driver) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let body: LocationRequest = request.json()?;
    let platform = &request.platform;
    let verdict = take_position(platform, &supply, driver, body)?;
    Ok(HttpResponse::Ok().json(VerdictBody { verdict: verdict.as_str() }))
}

/// Takes in where a driver says they are, whichever way they said it.
///
/// # Errors
/// [`Code::NotTheMatcher`] if another process keeps the index.
pub fn take_position(
    platform: &Platform,
    supply: &Supply,
    driver: DriverId,
    location: LocationRequest,
) -> Result<Verdict> {
    platform.leadership.require()?;
    let report = Report { driver, position: location.position, recorded_at: location.recorded_at };
    Ok(judge(supply, &platform.metrics, report, platform.clock.domain()))
}

/// Send where many drivers are
///
/// For device gateways: up to 1,000 positions, each with a verdict of its own. One that is stale or out of order does not keep the others
/// from being taken; a body that cannot be read is refused whole, naming the item.
#[utoipa::path(post, path = "/v1/locations", tag = "drivers", operation_id = "report_locations",
    security(("gateway" = [])), request_body(content = Vec<BatchItem>, description = "1,000 positions at most"),
    responses((status = 200, description = "What became of each", body = BatchBody)))]
async fn post_locations(request: Request<Gateways>, supply: web::Data<Supply>) -> Reply {
    let batch: Vec<BatchItem> = request.json_array()?;
    if batch.len() > BATCH_MAX {
        let detail = format!("at most {BATCH_MAX} positions, these are {}", batch.len());
        return Err(Refusal::new(Code::InvalidRequest, format!("Too many positions: {detail}."))
            .field("", detail)
            .into());
    }
    let platform = &request.platform;
    platform.leadership.require()?;
    let received_at = platform.clock.domain();
    let judged = batch.into_iter().map(|item| {
        let report = Report { driver: item.driver_id, position: item.position, recorded_at: item.recorded_at };
        (item.driver_id, judge(&supply, &platform.metrics, report, received_at))
    });
    let judged: Vec<_> = judged.collect();
    let accepted = judged.iter().filter(|(_, verdict)| *verdict == Verdict::Accepted).count();
    let items = judged.into_iter().map(|(driver_id, verdict)| BatchVerdict { driver_id, verdict: verdict.as_str() });
    Ok(HttpResponse::Ok().json(BatchBody { accepted, items: items.collect() }))
}

/// See who is near
///
/// The nearest available drivers, from the index that matching uses: online, on no trip, with no offer, and heard of within 30 s. It is a
/// picture of the moment, and no promise.
#[utoipa::path(get, path = "/v1/drivers/nearby", tag = "drivers", operation_id = "list_nearby_drivers",
    security(("rider" = []), ("driver" = []), ("ops" = [])), params(NearbyQuery),
    responses((status = 200, description = "The drivers", body = NearbyBody)))]
async fn nearby(request: Request<Participants>, supply: web::Data<Supply>) -> Reply {
    let query: NearbyQuery = request.query()?;
    let (center, radius_m, limit) = read(&query)?;
    let platform = &request.platform;
    platform.leadership.require()?;
    let exclude = HashSet::new();
    let now = platform.clock.domain();
    let found = supply.nearest(&Query { center, radius_m, class: query.class, limit, now, exclude: &exclude });
    let items = found.into_iter().map(|candidate| NearbyDriver {
        driver_id: candidate.driver,
        class: candidate.class,
        position: candidate.position,
        distance_m: candidate.distance_m.round() as i64,
        position_age_ms: candidate.age_ms,
    });
    Ok(HttpResponse::Ok().json(NearbyBody { items: items.collect() }))
}

fn read(query: &NearbyQuery) -> Result<(Position, f64, usize)> {
    let invalid = |field: &str, detail: String| {
        Refusal::new(Code::InvalidRequest, format!("`{field}`: {detail}.")).field(field, detail)
    };
    let center = Position::new(query.lat, query.lon).map_err(|error| invalid(error.field, error.to_string()))?;
    let radius_m = query.radius_m.unwrap_or(8_000.0);
    if !(0.0..=RADIUS_MAX_M).contains(&radius_m) {
        return Err(invalid("radius_m", format!("must be 0 to {RADIUS_MAX_M}")).into());
    }
    let limit = query.limit.unwrap_or(5);
    if !(1..=NEARBY_MAX).contains(&limit) {
        return Err(invalid("limit", format!("must be 1 to {NEARBY_MAX}")).into());
    }
    Ok((center, radius_m, usize::from(limit)))
}
