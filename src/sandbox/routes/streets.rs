//! The streets that the console draws.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::geo::Position;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::request::KnownVersionHeader;
use crate::platform::http::{Everybody, Reply, Request};
use crate::sandbox::store;

/// Lines in one map at most.
const LINES_MAX: usize = 20_000;

/// Points in one map at most: about what a body of 1 MiB holds.
const POINTS_MAX: usize = 50_000;

/// Lines of streets, as GeoJSON (RFC 7946).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StreetsRequest {
    /// Its one kind.
    #[expect(dead_code, reason = "it has one value, and serde checks it")]
    r#type: GeometryType,
    /// Lines of at least two positions each: `[longitude, latitude]`, in this order, in degrees. At most 20,000 lines and
    /// 50,000 positions; no line: no map.
    #[schema(value_type = Vec<Line>, max_items = 20_000)]
    coordinates: Vec<Vec<[f64; 2]>>,
}

/// A line: two positions at least.
#[derive(ToSchema)]
#[schema(as = StreetLine, min_items = 2, max_items = 50_000)]
#[expect(dead_code, reason = "a shape for the document")]
struct Line(Vec<Place>);

/// A position: longitude, then latitude, in degrees.
#[derive(ToSchema)]
#[schema(as = StreetPlace, min_items = 2, max_items = 2, example = json!([-73.9857, 40.7484]))]
#[expect(dead_code, reason = "a shape for the document")]
struct Place(Vec<Degrees>);

/// Degrees, -180 to 180.
#[derive(ToSchema)]
#[schema(as = StreetDegrees, minimum = -180.0, maximum = 180.0)]
#[expect(dead_code, reason = "a shape for the document")]
struct Degrees(f64);

/// What GeoJSON calls many lines.
#[derive(Debug, Deserialize, ToSchema)]
enum GeometryType {
    MultiLineString,
}

/// The streets, as GeoJSON (RFC 7946).
#[derive(Debug, Serialize, ToSchema)]
struct StreetsBody {
    /// Its one kind.
    #[schema(value_type = GeometryType)]
    r#type: &'static str,
    /// Lines of positions: `[longitude, latitude]`, in degrees. None if nobody has published any.
    #[schema(value_type = Vec<Line>, max_items = 20_000)]
    coordinates: Box<RawValue>,
}

/// See the streets
///
/// What the console draws under the cars: the streets of the city or of the scenario that was published last. It is only a picture; prices
/// and matching know nothing of it. The `ETag` changes with them.
#[utoipa::path(get, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "get_streets", security(()),
    params(KnownVersionHeader), responses((status = 200, description = "The streets", body = StreetsBody)))]
pub(super) async fn streets(request: Request<Everybody>) -> Reply {
    let found = request.platform.db.read((), |conn, ()| Box::pin(store::streets(conn))).await?;
    let (coordinates, version) = match found {
        Some(found) => found,
        None => (RawValue::from_string("[]".to_owned()).map_err(|error| Error::Bug(error.to_string()))?, 0),
    };
    Ok(request.respond(&StreetsBody { r#type: "MultiLineString", coordinates }, version))
}

/// Publish streets
///
/// In place of those before. The demo's city and `city replay` do it when they begin, so that the console has a map to draw; they
/// are kept in the database, and so survive the service.
#[utoipa::path(put, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "put_streets", security(()),
    request_body = StreetsRequest, responses((status = 204, description = "They are published")))]
pub(super) async fn put_streets(request: Request<Everybody>) -> Reply {
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
            return Err(invalid(format!("/coordinates/{number}"), "a line has two positions or more".to_owned()));
        }
        for (place, [lon, lat]) in line.iter().enumerate() {
            Position::new(*lat, *lon).map_err(|error| {
                let which = if error.field == "lon" { 0 } else { 1 };
                invalid(format!("/coordinates/{number}/{place}/{which}"), error.to_string())
            })?;
        }
    }
    Ok(())
}
