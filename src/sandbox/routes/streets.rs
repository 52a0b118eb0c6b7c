//! The streets of the console's map, and what it shows beside them.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::geo::Position;
use crate::geo::streets::InvalidStreets;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::request::KnownVersionHeader;
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::map_features::{Area, Features, Road};
use crate::sandbox::store;
use crate::sandbox::streets::{DRIVE_MS_MAX, LENGTH_M_MAX, LineDrives, Lines, StreetFollower, graph};

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
    coordinates: Lines,
    /// The drives along each line. Without them, drives are estimated from distances.
    #[schema(max_items = 20_000)]
    drives: Option<Vec<LineDrives>>,
    /// The name of the map.
    #[schema(min_length = 1, max_length = 80, example = "Port Linden")]
    name: Option<String>,
    /// The road of each line. Without them, all lines are drawn alike.
    #[schema(max_items = 20_000)]
    roads: Option<Vec<Road>>,
    /// Water, parks and districts. Later ones are drawn over earlier ones.
    #[schema(max_items = 500)]
    areas: Option<Vec<Area>>,
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
    /// The name of the map; absent if none was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 80, example = "Port Linden")]
    name: Option<String>,
    /// The road of each line; absent if none were published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 20_000)]
    roads: Option<Vec<Road>>,
    /// Water, parks and districts; absent if none were published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 500)]
    areas: Option<Vec<Area>>,
}

/// Get the streets
///
/// The streets that the console draws under the cars, and what it shows beside them: those published last, without the drives along
/// them. The `ETag` changes with any of it.
#[utoipa::path(get, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "get_streets", security(()),
    params(KnownVersionHeader), responses((status = 200, description = "The streets", body = StreetsBody)))]
pub(super) async fn streets(request: Request<Public>) -> HttpResult {
    let found = request.platform.db.read((), |conn, ()| Box::pin(store::streets(conn))).await?;
    let (coordinates, Features { name, roads, areas }, version) = match found {
        Some(map) => (map.coordinates, map.features, map.version),
        None => {
            let none = RawValue::from_string("[]".to_owned()).map_err(|error| Error::Bug(error.to_string()))?;
            (none, Features::default(), 0)
        }
    };
    request.respond(&StreetsBody { r#type: "MultiLineString", coordinates, name, roads, areas }, version)
}

/// Publish streets
///
/// Replaces the streets and what the map shows beside them. With `drives`, quotes, matching and ETAs follow the streets: this process at once, others within a second or two.
/// A service with a street map of its own (`--streets`) only draws them. The demo's city and `city replay` publish theirs when they start. The
/// database keeps them across restarts.
#[utoipa::path(put, path = "/v1/sandbox/streets", tag = "sandbox", operation_id = "put_streets", security(()),
    request_body = StreetsRequest, responses((status = 204, description = "Published")))]
pub(super) async fn put_streets(request: Request<Public>, follower: web::Data<StreetFollower>) -> HttpResult {
    let StreetsRequest { coordinates, drives, name, roads, areas, .. } = request.json()?;
    check(&coordinates)?;
    let features = Features { name, roads, areas };
    features.check(coordinates.len()).map_err(|(pointer, detail)| invalid(pointer, detail))?;
    let bug = |error: serde_json::Error| Error::Bug(error.to_string());
    let features = (!features.is_empty()).then_some(&features);
    let texts = (
        serde_json::to_string(&coordinates).map_err(bug)?,
        drives.as_ref().map(serde_json::to_string).transpose().map_err(bug)?,
        features.map(serde_json::to_string).transpose().map_err(bug)?,
    );
    if let Some(drives) = drives {
        // Building the graph finds whether it is connected. It takes milliseconds.
        let checked = web::block(move || check_drives(&coordinates, &drives));
        checked.await.map_err(|error| Error::Bug(error.to_string()))??;
    }
    let put = request.platform.db.transaction(texts, |tx, (coordinates, drives, features)| {
        Box::pin(store::put_streets(tx, coordinates, drives.as_deref(), features.as_deref()))
    });
    put.await?;
    follower.run_once().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn invalid(pointer: String, detail: String) -> Error {
    Refusal::new(Code::InvalidRequest, format!("`{pointer}`: {detail}.")).field(pointer, detail).into()
}

/// Checks that each piece of each line has its drives, that they are possible, and that the streets are connected.
fn check_drives(lines: &Lines, drives: &[LineDrives]) -> Result<()> {
    if drives.len() != lines.len() {
        let detail = format!("must have an item for each of the {} lines, not {}", lines.len(), drives.len());
        return Err(invalid("/drives".to_owned(), detail));
    }
    for (number, (line, drives)) in lines.iter().zip(drives).enumerate() {
        let pieces = line.len() - 1;
        let check_count = |member: &str, count: usize| {
            let detail = || format!("must have {pieces} items, one less than the positions of the line, not {count}");
            if count == pieces { Ok(()) } else { Err(invalid(format!("/drives/{number}/{member}"), detail())) }
        };
        for (member, times) in [("forward_ms", &drives.forward_ms), ("backward_ms", &drives.backward_ms)] {
            let Some(times) = times else { continue };
            check_count(member, times.len())?;
            let is_wrong = |ms: &Option<u32>| ms.is_some_and(|ms| !(1..=DRIVE_MS_MAX).contains(&ms));
            if let Some(index) = times.iter().position(is_wrong) {
                let detail = format!("must be null, or 1 to {DRIVE_MS_MAX}");
                return Err(invalid(format!("/drives/{number}/{member}/{index}"), detail));
            }
        }
        if let Some(lengths) = &drives.lengths_m {
            check_count("lengths_m", lengths.len())?;
            if let Some(index) = lengths.iter().position(|length| !(0.0..=LENGTH_M_MAX).contains(length)) {
                let detail = format!("must be 0 to {LENGTH_M_MAX}");
                return Err(invalid(format!("/drives/{number}/lengths_m/{index}"), detail));
            }
        }
    }
    match graph(lines, drives) {
        Ok(_) => Ok(()),
        Err(InvalidStreets::Empty) if lines.is_empty() => Ok(()),
        Err(error) => Err(invalid("/drives".to_owned(), error.to_string())),
    }
}

fn check(lines: &[Vec<[f64; 2]>]) -> Result<()> {
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
