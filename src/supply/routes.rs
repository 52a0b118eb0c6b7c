//! Routes for positions and for nearby drivers.

use std::iter::zip;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};

use super::ingest::{LocationRequest, PositionResult, ingest, ingest_one};
use super::nearby::NearbyViewer;
use super::{CarHandles, PositionReport, PositionVerdict, Query, Supply};
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::{Drivers, Gateways, HttpResult, Participants, Request};
use crate::platform::ids::DriverId;

/// The maximum number of positions per batch.
const BATCH_MAX: usize = 1_000;

/// The maximum number of drivers per response.
const NEARBY_MAX: u8 = 50;

/// The maximum search radius in meters.
const RADIUS_MAX_M: f64 = 50_000.0;

/// The module's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(nearby, put_location, post_locations))]
pub struct Api;

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/drivers/me/location").route(web::put().to(put_location)))
        .service(web::resource("/v1/locations").route(web::post().to(post_locations)))
        .service(web::resource("/v1/drivers/nearby").route(web::get().to(nearby)));
}

/// The position of one driver in a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchItem {
    /// The driver.
    driver_id: DriverId,
    /// The position.
    position: Position,
    /// When the device recorded it (domain time). Required: a position without a time is refused.
    recorded_at: DomainTime,
}

/// The verdict on one position of a batch.
#[derive(Debug, Serialize, ToSchema)]
struct BatchVerdict {
    /// The driver.
    driver_id: DriverId,
    /// The verdict.
    verdict: PositionVerdict,
    /// How far `recorded_at` is ahead of the service's clock, milliseconds of domain time; negative if it is behind. Only with `future`
    /// and `stale`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 61_000)]
    ahead_ms: Option<i64>,
}

/// The verdicts on a batch.
#[derive(Debug, Serialize, ToSchema)]
struct BatchBody {
    /// The number of accepted positions.
    #[schema(maximum = 1000)]
    accepted: usize,
    /// One verdict per position, in the order of the request.
    #[schema(max_items = 1000)]
    items: Vec<BatchVerdict>,
}

/// A search for nearby drivers.
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
    /// The maximum number of drivers; 5 if absent.
    #[param(minimum = 1, maximum = 50, default = 5)]
    limit: Option<u8>,
    /// The search radius in meters; 8 km if absent.
    #[param(minimum = 0, maximum = 50000, default = 8000)]
    radius_m: Option<f64>,
    /// The vehicle class; all classes if absent.
    class: Option<VehicleClass>,
}

/// An available driver.
#[derive(Debug, Serialize, ToSchema)]
struct NearbyDriver {
    /// The car's handle. It is different for each caller, and changes every ten minutes.
    #[schema(pattern = "^[0-9a-f]{32}$", example = "5e1f0c8d9b7a46e2a3d4c5b6f7081920")]
    handle: String,
    /// The driver. Absent unless the caller is an operator, or the driver themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    driver_id: Option<DriverId>,
    /// The vehicle class.
    class: VehicleClass,
    /// The last known position. Without `driver_id`, the center of its grid cell, about 110 m wide and high.
    position: Position,
    /// Great-circle distance from the center of the search to `position`, in meters.
    #[schema(minimum = 0, maximum = 50_000)]
    distance_m: i64,
    /// Age of the position, in milliseconds of domain time. Without `driver_id`, whole seconds.
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

/// Report the driver's location
///
/// Send it every few seconds while online. The time decides: a position older than the last known one is dropped, and a repeat is a
/// `duplicate`. So positions may arrive twice and in any order, without a key. The service does not correct a time: a position from more
/// than 5 s ahead of its clock is dropped as `future`, one from more than 30 s before as `stale`, and `ahead_ms` says by how much the time is
/// off, so that the device can correct it. Only the matcher keeps the driver index; other processes
/// answer 503 `not_the_matcher`.
#[utoipa::path(put, path = "/v1/drivers/me/location", tag = "drivers", operation_id = "report_location",
    security(("driver" = [])), request_body = LocationRequest,
    responses((status = 200, description = "The verdict", body = PositionResult)))]
async fn put_location(request: Request<Drivers>, supply: web::Data<Supply>) -> HttpResult {
    let Some(driver) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let body: LocationRequest = request.json()?;
    let result = ingest_one(&request.platform, &supply, body.reported_by(driver))?;
    Ok(HttpResponse::Ok().json(result))
}

/// Report locations of many drivers
///
/// For device gateways: up to 1,000 positions, each with its own verdict. A stale or late position does not affect the others. A body that
/// cannot be parsed is refused as a whole; the error names the item.
#[utoipa::path(post, path = "/v1/locations", tag = "drivers", operation_id = "report_locations",
    security(("gateway" = [])), request_body(content = Vec<BatchItem>, description = "Up to 1,000 positions"),
    responses((status = 200, description = "The verdicts", body = BatchBody)))]
async fn post_locations(request: Request<Gateways>, supply: web::Data<Supply>) -> HttpResult {
    let batch: Vec<BatchItem> = request.json_array()?;
    if batch.len() > BATCH_MAX {
        let detail = format!("must have at most {BATCH_MAX} positions, has {}", batch.len());
        return Err(Refusal::new(Code::InvalidRequest, format!("The batch {detail}.")).field("", detail).into());
    }
    let reports = batch.iter().map(|item| {
        let BatchItem { driver_id, position, recorded_at } = *item;
        PositionReport { driver: driver_id, position, recorded_at }
    });
    let results = ingest(&request.platform, &supply, reports)?;
    let items = zip(batch, results).map(|(item, PositionResult { verdict, ahead_ms })| BatchVerdict {
        driver_id: item.driver_id,
        verdict,
        ahead_ms,
    });
    let items: Vec<_> = items.collect();
    let accepted = items.iter().filter(|item| item.verdict == PositionVerdict::Accepted).count();
    Ok(HttpResponse::Ok().json(BatchBody { accepted, items }))
}

/// List nearby drivers
///
/// Returns the nearest available drivers from the index that dispatch uses: online, without offer or trip, and with a position of at most
/// 30 s of age. The result is a snapshot and reserves no driver.
///
/// Operators see ids and exact positions, and a driver sees their own. Other callers see cars under handles that change, at coarse positions.
/// Distance, order, radius and limit follow from what is shown.
#[utoipa::path(get, path = "/v1/drivers/nearby", tag = "drivers", operation_id = "list_nearby_drivers",
    security(("rider" = []), ("driver" = []), ("ops" = [])), params(NearbyQuery),
    responses((status = 200, description = "The drivers", body = NearbyBody)))]
async fn nearby(
    request: Request<Participants>,
    supply: web::Data<Supply>,
    handles: web::Data<CarHandles>,
) -> HttpResult {
    let query: NearbyQuery = request.query()?;
    let (center, radius_m, limit) = validate(&query)?;
    let platform = &request.platform;
    platform.leadership.require()?;
    let viewer = NearbyViewer { caller: request.caller(), handles: &handles, now: platform.clock.machine() };
    let query = Query { center, radius_m, class: query.class, limit, now: platform.clock.domain() };
    let items = viewer.search(&supply, &query).into_iter().map(|car| NearbyDriver {
        handle: car.handle,
        driver_id: car.driver,
        class: car.class,
        position: car.position,
        distance_m: car.distance_m.round() as i64,
        position_age_ms: car.age_ms,
    });
    Ok(HttpResponse::Ok().json(NearbyBody { items: items.collect() }))
}

/// Returns the center, the radius in meters and the limit.
fn validate(query: &NearbyQuery) -> Result<(Position, f64, usize)> {
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
