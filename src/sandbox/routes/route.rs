//! The way of a drive along the streets, for the console's map.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::geo::{EtaSource, Position, Router};
use crate::platform::error::{Code, Error, Refusal};
use crate::platform::http::{HttpResult, Public, Request};

/// The ends of a drive.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RouteQuery {
    /// The start: degrees north of the equator.
    #[param(minimum = -90, maximum = 90, example = 40.7484)]
    from_lat: f64,
    /// The start: degrees east of Greenwich.
    #[param(minimum = -180, maximum = 180, example = -73.9857)]
    from_lon: f64,
    /// The end: degrees north of the equator.
    #[param(minimum = -90, maximum = 90, example = 40.7061)]
    to_lat: f64,
    /// The end: degrees east of Greenwich.
    #[param(minimum = -180, maximum = 180, example = -74.0087)]
    to_lon: f64,
}

/// The way of a drive as a GeoJSON geometry (RFC 7946).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RouteBody {
    /// The geometry's type.
    #[schema(value_type = String, pattern = "^LineString$", example = "LineString")]
    r#type: &'static str,
    /// Positions `[longitude, latitude]`, degrees, from the start to the end.
    #[schema(value_type = Vec<RoutePosition>, min_items = 2, max_items = 50_002)]
    coordinates: Vec<[f64; 2]>,
    /// What the way was computed from. An estimate is a straight line.
    source: EtaSource,
}

/// A position: longitude, then latitude, in degrees.
#[derive(ToSchema)]
#[schema(as = RoutePosition, min_items = 2, max_items = 2, example = json!([-73.9857, 40.7484]))]
#[expect(dead_code, reason = "only a schema")]
struct RoutePosition(Vec<RouteDegrees>);

/// Degrees, -180 to 180.
#[derive(ToSchema)]
#[schema(as = RouteDegrees, minimum = -180.0, maximum = 180.0)]
#[expect(dead_code, reason = "only a schema")]
struct RouteDegrees(f64);

/// Get a route
///
/// The fastest drive between two positions as a line along the streets, for the console's map. It is the drive that quotes, matching and
/// ETAs are computed from.
#[utoipa::path(get, path = "/v1/sandbox/route", tag = "sandbox", operation_id = "get_route", security(()), params(RouteQuery),
    responses((status = 200, description = "The route", body = RouteBody)))]
pub(super) async fn route(request: Request<Public>, router: web::Data<Router>) -> HttpResult {
    let query: RouteQuery = request.query()?;
    let end = |name: &str, lat: f64, lon: f64| -> Result<Position, Error> {
        Position::new(lat, lon).map_err(|error| {
            let (field, detail) = (format!("{name}_{}", error.field), error.to_string());
            Refusal::new(Code::InvalidRequest, format!("`{field}`: {detail}.")).field(field, detail).into()
        })
    };
    let (from, to) = (end("from", query.from_lat, query.from_lon)?, end("to", query.to_lat, query.to_lon)?);
    let (path, source) = router.map().path(from, to);
    let coordinates = path.iter().map(|place| [place.lon(), place.lat()]).collect();
    Ok(HttpResponse::Ok().json(RouteBody { r#type: "LineString", coordinates, source }))
}
