//! The streets of the console's map.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::geo::Position;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::request::KnownVersionHeader;
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::store;

/// The most lines in one map.
const LINES_MAX: usize = 20_000;

/// The most positions in one map: about as many as fit into a body of 1 MiB.
const POINTS_MAX: usize = 50_000;

/// Streets as a GeoJSON geometry (RFC 7946).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StreetsRequest {
    /// The geometry's type.
    #[expect(dead_code, reason = "serde checks its only value")]
    r#type: GeometryType,
    /// Lines of at least two positions `[longitude, latitude]`, degrees. At most 20,000 lines and 50,000 positions. An empty list removes
    /// the map.
    #[schema(value_type = Vec<Line>, max_items = 20_000)]
    coordinates: Vec<Vec<[f64; 2]>>,
}

/// A line of at least two positions.
#[derive(ToSchema)]
#[schema(as = StreetLine, min_items = 2, max_items = 50_000)]
#[expect(dead_code, reason = "only a schema")]
struct Line(Vec<Point>);

/// A position: longitude, then latitude, in degrees.
#[derive(ToSchema)]
#[schema(as = StreetPosition, min_items = 2, max_items = 2, example = json!([-73.9857, 40.7484]))]
#[expect(dead_code, reason = "only a schema")]
struct Point(Vec<Degrees>);

/// Degrees, -180 to 180.
#[derive(ToSchema)]
#[schema(as = StreetDegrees, minimum = -180.0, maximum = 180.0)]
#[expect(dead_code, reason = "only a schema")]
struct Degrees(f64);

/// The GeoJSON type.
#[derive(Debug, Deserialize, ToSchema)]
enum GeometryType {
    MultiLineString,
}

/// The published streets as a GeoJSON geometry (RFC 7946).
#[derive(Debug, Serialize, ToSchema)]
struct StreetsBody {
    /// The geometry's type.
    #[schema(value_type = GeometryType)]
    r#type: &'static str,
    /// Lines of positions `[longitude, latitude]`, degrees. Empty before any were published.
    #[schema(value_type = Vec<Line>, max_items = 20_000)]
    coordinates: Box<RawValue>,
}

/// Get the streets
///
/// The streets that the console draws under the cars: those published last. Pricing and matching do not use them. The `ETag` changes with
/// them.
#[utoipa::path(get, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "get_streets", security(()),
    params(KnownVersionHeader), responses((status = 200, description = "The streets", body = StreetsBody)))]
pub(super) async fn streets(request: Request<Public>) -> HttpResult {
    let found = request.platform.db.read((), |conn, ()| Box::pin(store::streets(conn))).await?;
    let (coordinates, version) = match found {
        Some(found) => found,
        None => (RawValue::from_string("[]".to_owned()).map_err(|error| Error::Bug(error.to_string()))?, 0),
    };
    request.respond(&StreetsBody { r#type: "MultiLineString", coordinates }, version)
}

/// Publish streets
///
/// Replaces the streets. The demo's city and `city replay` publish theirs when they start. The database keeps them across restarts.
#[utoipa::path(put, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "put_streets", security(()),
    request_body = StreetsRequest, responses((status = 204, description = "Published")))]
pub(super) async fn put_streets(request: Request<Public>) -> HttpResult {
    let body: StreetsRequest = request.json()?;
    check(&body.coordinates)?;
    let coordinates = serde_json::to_string(&body.coordinates).map_err(|error| Error::Bug(error.to_string()))?;
    let put = request.platform.db.transaction(coordinates, |tx, text| Box::pin(store::put_streets(tx, text)));
    put.await?;
    Ok(HttpResponse::NoContent().finish())
}

fn check(lines: &[Vec<[f64; 2]>]) -> Result<()> {
    let invalid = |pointer: String, detail: String| -> Error {
        Refusal::new(Code::InvalidRequest, format!("`{pointer}`: {detail}.")).field(pointer, detail).into()
    };
    let points: usize = lines.iter().map(Vec::len).sum();
    if lines.len() > LINES_MAX || points > POINTS_MAX {
        let detail = format!("at most {LINES_MAX} lines and {POINTS_MAX} positions");
        return Err(invalid("/coordinates".to_owned(), detail));
    }
    for (number, line) in lines.iter().enumerate() {
        if line.len() < 2 {
            return Err(invalid(format!("/coordinates/{number}"), "a line has at least two positions".to_owned()));
        }
        for (index, [lon, lat]) in line.iter().enumerate() {
            Position::new(*lat, *lon).map_err(|error| {
                let axis = if error.field == "lon" { 0 } else { 1 };
                invalid(format!("/coordinates/{number}/{index}/{axis}"), error.to_string())
            })?;
        }
    }
    Ok(())
}
