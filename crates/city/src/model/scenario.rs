//! Scenario files in the public input format of NREL HIVE: `requests.csv`, `vehicles.csv`, `road_network.json`.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta};

use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::{Streets, read_road_network};

use super::table::{Row, TableError, clipped, read};
use super::{CityModel, Class, NamedMap, RejectedRow, Request, Traffic, Vehicle, names};

const REQUESTS: &str = "requests.csv";
const VEHICLES: &str = "vehicles.csv";
const ROADS: &str = "road_network.json";

/// Why a scenario cannot be used. Invalid rows are not errors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    #[error("{}: {source}", folder.display())]
    Table { folder: PathBuf, source: TableError },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("{}: not a node-link street graph: {source}", file.display())]
    Roads { file: PathBuf, source: serde_json::Error },
    #[error("{}: no {what} can be used ({rejected} rows rejected)", folder.display())]
    Empty { folder: PathBuf, what: &'static str, rejected: usize },
}

/// An hour and a minute of the scenario's first day; `24:00` is its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    minutes: u32,
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not a time of day such as 20:00");
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return Err(wrong());
        }
        let (hours, minutes): (u32, u32) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
        let time = Self { minutes: hours * 60 + minutes };
        if minutes < 60 && time.minutes <= 24 * 60 { Ok(time) } else { Err(wrong()) }
    }
}

/// A part of a scenario, from `from` (inclusive) to `until` (exclusive) on the first day. An `until` that is not after
/// `from` is on the next day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    /// The first midnight of the scenario if absent.
    pub from: Option<TimeOfDay>,
    /// The end of the scenario if absent.
    pub until: Option<TimeOfDay>,
}

/// A scenario, or a window of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub city: CityModel,
    /// Sorted by departure.
    pub demand: Vec<Request>,
    pub rejected: Vec<RejectedRow>,
    /// The number of nodes and links of the map that could not be used.
    pub skipped_streets: usize,
    /// The start of the window, in the time of the scenario.
    pub opens: NaiveDateTime,
    /// The end of the window, exclusive.
    pub closes: NaiveDateTime,
}

impl Scenario {
    /// Reads a folder, and keeps the departures in the window.
    ///
    /// # Errors
    /// A required file cannot be read, or has no usable rows.
    pub fn read(folder: &Path, window: Window) -> Result<Self, ScenarioError> {
        let table_error = |source| ScenarioError::Table { folder: folder.into(), source };
        let empty = |what, rejected| ScenarioError::Empty { folder: folder.into(), what, rejected };

        let mut names = HashSet::new();
        let cars = read(folder, VEHICLES, &["vehicle_id", "lat", "lon"], |row| vehicle(row, &mut names));
        let cars = cars.map_err(table_error)?;
        if cars.rows.is_empty() {
            return Err(empty("vehicle", cars.rejected.len()));
        }
        let columns = ["request_id", "o_lat", "o_lon", "d_lat", "d_lon", "departure_time"];
        let mut trips = read(folder, REQUESTS, &columns, departure).map_err(table_error)?;
        trips.rows.sort_by_key(|departure| departure.at);
        let (Some(first), Some(last)) = (trips.rows.first(), trips.rows.last()) else {
            return Err(empty("request", trips.rejected.len()));
        };

        let midnight = first.at.date().and_time(NaiveTime::MIN);
        let moment = |time: TimeOfDay| midnight + TimeDelta::minutes(time.minutes.into());
        let opens = window.from.map_or(midnight, moment);
        let closes = match window.until.map(moment) {
            Some(closes) if closes <= opens => closes + TimeDelta::days(1),
            Some(closes) => closes,
            None => opens.max(last.at) + TimeDelta::seconds(1),
        };
        let (streets, skipped_streets) = streets(folder)?;
        let demand = trips.rows.into_iter().filter(|departure| (opens..closes).contains(&departure.at));
        Ok(Self {
            city: CityModel { streets, fleet: cars.rows, traffic: Traffic::AsMapped, map: NamedMap::default() },
            demand: demand.map(|departure| departure.request(opens)).collect(),
            rejected: cars.rejected.into_iter().chain(trips.rejected).collect(),
            skipped_streets,
            opens,
            closes,
        })
    }
}

impl Scenario {
    /// Moves every place to the nearest junction, as NREL HIVE does to the nearest street, so that no drive leaves the streets. A ride
    /// within one junction stays where it is. Without a map nothing moves.
    pub fn move_to_junctions(&mut self) {
        let streets = &self.city.streets;
        let junction = |place: Position| streets.nearest(place).map_or(place, |at| streets.junctions()[at as usize]);
        for vehicle in &mut self.city.fleet {
            vehicle.starts_at = junction(vehicle.starts_at);
        }
        for request in &mut self.demand {
            let (pickup, dropoff) = (junction(request.pickup), junction(request.dropoff));
            if pickup != dropoff {
                (request.pickup, request.dropoff) = (pickup, dropoff);
            }
        }
    }
}

/// A row of `requests.csv`, in the time of the scenario.
struct Departure {
    name: String,
    at: NaiveDateTime,
    pickup: Position,
    dropoff: Position,
}

impl Departure {
    fn request(self, opens: NaiveDateTime) -> Request {
        let Self { name, at, pickup, dropoff } = self;
        Request { name, departs_after: at - opens, pickup, dropoff, class: Class::Standard }
    }
}

fn departure(row: &Row<'_>) -> Result<Departure, String> {
    Ok(Departure {
        // The line makes the name unique if an id occurs twice.
        name: format!("{}@{}", row.text("request_id")?, row.line),
        at: moment(row.text("departure_time")?)?,
        pickup: position(row, "o_lat", "o_lon")?,
        dropoff: position(row, "d_lat", "d_lon")?,
    })
}

fn vehicle(row: &Row<'_>, names: &mut HashSet<String>) -> Result<Vehicle, String> {
    let name = row.text("vehicle_id")?.to_owned();
    let starts_at = position(row, "lat", "lon")?;
    if !names.insert(name.clone()) {
        return Err(format!("vehicle `{}` occurs twice", clipped(&name)));
    }
    // Scenarios have no drivers: generate the name from the id of the vehicle.
    let mut random = seeded_random(0, &name);
    let (driver, plate) = (names::driver(&mut random), names::plate(&mut random));
    Ok(Vehicle { name, driver, plate, class: Class::Standard, starts_at })
}

fn position(row: &Row<'_>, lat: &str, lon: &str) -> Result<Position, String> {
    Position::new(row.number(lat)?, row.number(lon)?).map_err(|reason| format!("`{lat}`, `{lon}`: {reason}"))
}

/// A departure time in one of the formats of scenarios: `2014-12-21 00:00:00`, `1970-01-01T00:02:00`, or whole seconds
/// since 1970.
fn moment(text: &str) -> Result<NaiveDateTime, String> {
    let wrong = || format!("`departure_time` is not a time: `{}`", clipped(text));
    if let Ok(seconds) = text.parse::<u32>() {
        return DateTime::from_timestamp(seconds.into(), 0).map(|t| t.naive_utc()).ok_or_else(wrong);
    }
    let form = if text.contains('T') { "%Y-%m-%dT%H:%M:%S%.f" } else { "%Y-%m-%d %H:%M:%S%.f" };
    let time = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), form).map_err(|_| wrong())?;
    // Adding a day to the largest years of chrono would overflow.
    if (1..=9998).contains(&chrono::Datelike::year(&time)) { Ok(time) } else { Err(wrong()) }
}

fn streets(folder: &Path) -> Result<(Streets, usize), ScenarioError> {
    let file = folder.join(ROADS);
    match std::fs::read(&file) {
        Ok(json) => read_road_network(&json).map_err(|source| ScenarioError::Roads { file, source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Streets::none(), 0)),
        Err(source) => Err(ScenarioError::Io { file, source }),
    }
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
