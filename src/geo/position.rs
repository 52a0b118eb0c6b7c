use std::cmp::Ordering;
use std::fmt;

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// A position on the Earth in WGS 84 degrees: latitude from −90 to 90, longitude from −180 to 180.
///
/// Longitudes 180 and −180 are stored as sent, but have distance zero; so have all longitudes at a pole. In JSON it is an object,
/// `{"lat": 40.7484, "lon": -73.9857}`, never an array, because arrays have no agreed order.
///
/// Ordered by latitude, then longitude. The order has no geographic meaning; it breaks ties deterministically.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"lat": 40.7484, "lon": -73.9857})))]
pub struct Position {
    /// Degrees north of the equator.
    #[schema(minimum = -90.0, maximum = 90.0)]
    lat: f64,
    /// Degrees east of Greenwich.
    #[schema(minimum = -180.0, maximum = 180.0)]
    lon: f64,
}

/// A coordinate out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{field}` must be from -{limit} to {limit} degrees, not {value}")]
pub struct InvalidPosition {
    /// The invalid coordinate: `lat` or `lon`.
    pub field: &'static str,
    /// The maximum magnitude in degrees.
    pub limit: f64,
    /// The value: out of range, infinite, or not a number.
    pub value: f64,
}

impl Position {
    /// Creates the position at `lat` degrees north and `lon` degrees east.
    ///
    /// # Errors
    ///
    /// [`InvalidPosition`] names the first coordinate that is not finite or is out of range.
    ///
    /// ```
    /// use ridematch::geo::Position;
    ///
    /// assert!(Position::new(59.9139, 10.7522).is_ok());
    /// let error = Position::new(10.7522, 259.9139).unwrap_err();
    /// assert_eq!(error.to_string(), "`lon` must be from -180 to 180 degrees, not 259.9139");
    /// ```
    pub fn new(lat: f64, lon: f64) -> Result<Self, InvalidPosition> {
        Ok(Self { lat: within("lat", 90.0, lat)?, lon: within("lon", 180.0, lon)? })
    }

    /// Degrees north of the equator.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Degrees east of Greenwich.
    pub fn lon(self) -> f64 {
        self.lon
    }

    /// Returns the position as a point on the unit sphere: x toward 0° N 0° E, y toward 0° N 90° E, z toward the north pole.
    ///
    /// Chords between these points order like great-circle distances, also at the poles and the antimeridian; the driver index relies on
    /// it. Equal places have equal vectors, also if their longitudes differ.
    pub fn unit_vector(self) -> [f64; 3] {
        let (sin_lat, cos_lat) = sin_cos_degrees(self.lat);
        let (sin_lon, cos_lon) = sin_cos_degrees(self.lon);
        [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
    }
}

impl Eq for Position {}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lat.total_cmp(&other.lat).then(self.lon.total_cmp(&other.lon))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Position> for ::geo::Point {
    /// Converts with the longitude as x.
    fn from(position: Position) -> Self {
        Self::new(position.lon, position.lat)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Accepts an object. Unlike a derived `Deserialize`, it refuses an array.
struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Position;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `lat` and `lon`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Position, A::Error> {
        let Coordinates { lat, lon } = Coordinates::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Position { lat, lon })
    }
}

/// Checks each coordinate while deserializing it, so that the path of an error ends in the coordinate.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Coordinates {
    #[serde(deserialize_with = "lat")]
    lat: f64,
    #[serde(deserialize_with = "lon")]
    lon: f64,
}

fn lat<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within("lat", 90.0, f64::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn lon<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within("lon", 180.0, f64::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn within(field: &'static str, limit: f64, value: f64) -> Result<f64, InvalidPosition> {
    // NaN fails the comparison too. Adding zero turns −0 into 0, so that equal positions have equal bits.
    if value.abs() <= limit { Ok(value + 0.0) } else { Err(InvalidPosition { field, limit, value }) }
}

/// Returns sine and cosine of an angle in degrees, exact at multiples of 90.
///
/// `(180.0).to_radians().sin()` is not 0, because π has no exact `f64`. Reducing by quarter turns first makes a pole one point.
fn sin_cos_degrees(angle: f64) -> (f64, f64) {
    let quarters = (angle / 90.0).round();
    let (sin, cos) = (angle - quarters * 90.0).to_radians().sin_cos();
    match (quarters as i8).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Request {
        #[expect(dead_code, reason = "only its errors matter")]
        pickup: Position,
    }

    /// The JSON path and the message of the error for `pickup`.
    fn error_of(pickup: &str) -> (String, String) {
        let body = format!(r#"{{"pickup": {pickup}}}"#);
        let error =
            serde_path_to_error::deserialize::<_, Request>(&mut serde_json::Deserializer::from_str(&body)).unwrap_err();
        (error.path().to_string(), error.inner().to_string())
    }

    #[test]
    fn coordinates_at_the_limits_are_valid() {
        for (lat, lon) in [(90.0, 180.0), (-90.0, -180.0), (0.0, 0.0), (-0.0, -0.0)] {
            let position = Position::new(lat, lon).unwrap();
            assert_eq!((position.lat(), position.lon()), (lat, lon));
        }
    }

    #[test]
    fn coordinate_out_of_range_is_named() {
        let beyond = [90.0_f64.next_up(), -90.1, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for lat in beyond {
            assert_eq!(Position::new(lat, 0.0).unwrap_err().field, "lat");
        }
        for lon in [180.0_f64.next_up(), -180.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Position::new(0.0, lon).unwrap_err().field, "lon");
        }
    }

    #[test]
    fn json_is_an_object_with_two_numbers() {
        let position: Position = serde_json::from_value(json!({"lon": -73, "lat": 40.75})).unwrap();
        assert_eq!(position, Position::new(40.75, -73.0).unwrap());
        assert_eq!(serde_json::to_value(position).unwrap(), json!({"lat": 40.75, "lon": -73.0}));
    }

    #[test]
    fn error_path_ends_in_the_coordinate() {
        let cases = [
            (r#"{"lat": 91, "lon": 0}"#, "pickup.lat", "`lat` must be from -90 to 90 degrees, not 91"),
            (r#"{"lat": 0, "lon": -180.5}"#, "pickup.lon", "`lon` must be from -180 to 180 degrees, not -180.5"),
            (r#"{"lat": "0", "lon": 0}"#, "pickup.lat", "invalid type: string \"0\", expected f64"),
            (r#"{"lat": null, "lon": 0}"#, "pickup.lat", "invalid type: null, expected f64"),
            (r#"{"lat": 0, "lon": 1e999}"#, "pickup.lon", "number out of range"),
            (r#"{"lat": 0}"#, "pickup", "missing field `lon`"),
            (r#"{"lat": 0, "lon": 0, "alt": 0}"#, "pickup.alt", "unknown field `alt`, expected `lat` or `lon`"),
            (r"[0, 0]", "pickup", "invalid type: sequence, expected an object with `lat` and `lon`"),
            (r"null", "pickup", "invalid type: null, expected an object with `lat` and `lon`"),
        ];
        for (pickup, path, message) in cases {
            let (found_path, found) = error_of(pickup);
            assert_eq!(found_path, path, "{pickup}: {found}");
            assert!(found.starts_with(message), "{pickup}: {found}");
        }
    }

    #[test]
    fn schema_has_the_bounds() {
        let schema = serde_json::to_value(<Position as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["required"], json!(["lat", "lon"]));
        assert_eq!(schema["additionalProperties"], json!(false));
        for (field, limit) in [("lat", 90.0), ("lon", 180.0)] {
            assert_eq!(schema["properties"][field]["minimum"].as_f64(), Some(-limit));
            assert_eq!(schema["properties"][field]["maximum"].as_f64(), Some(limit));
        }
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "the values must be exact")]
    fn unit_vectors_of_the_axes_are_exact() {
        let vector = |lat, lon| Position::new(lat, lon).unwrap().unit_vector();
        assert_eq!(vector(0.0, 0.0), [1.0, 0.0, 0.0]);
        assert_eq!(vector(0.0, 90.0), [0.0, 1.0, 0.0]);
        assert_eq!(vector(0.0, -90.0), [0.0, -1.0, 0.0]);
        assert_eq!(vector(90.0, 33.0), [0.0, 0.0, 1.0]);
        assert_eq!(vector(-90.0, -33.0), [0.0, 0.0, -1.0]);
        assert_eq!(vector(0.0, 180.0), vector(0.0, -180.0));
    }

    proptest! {
        #[test]
        fn reduced_sine_and_cosine_agree_with_the_standard_ones(angle in -180.0..=180.0) {
            let (sin, cos) = sin_cos_degrees(angle);
            let (expected_sin, expected_cos) = f64::to_radians(angle).sin_cos();
            prop_assert!((sin - expected_sin).abs() < 1e-15 && (cos - expected_cos).abs() < 1e-15);
        }
    }
}
