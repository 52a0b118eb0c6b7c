//! The published street map: its form, and the worker that gives it to the router.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::store;
use crate::geo::streets::lines::{self, Piece};
use crate::geo::streets::{InvalidStreets, Streets};
use crate::geo::{Position, Router};
use crate::platform::Platform;
use crate::platform::error::{Error, Result};

/// How often a process looks for another map. One query of one row.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// The longest driving time of a piece of a line, milliseconds: a day.
pub const DRIVE_MS_MAX: u32 = 86_400_000;

/// The greatest length of a piece of a line, meters.
pub const LENGTH_M_MAX: f64 = 1_000_000.0;

/// Lines of positions `[longitude, latitude]`, degrees.
pub type Lines = Vec<Vec<[f64; 2]>>;

/// The drives along a line: a value for each piece between two of its positions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StreetDrives)]
pub struct LineDrives {
    /// The driving times in the order of the line, milliseconds; `null` where it must not be driven. Absent: nowhere in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<DriveMs>>>, max_items = 50_000)]
    pub forward_ms: Option<Vec<Option<u32>>>,
    /// The driving times against the order of the line, milliseconds; `null` where it must not be driven. Absent: nowhere in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Option<DriveMs>>>, max_items = 50_000)]
    pub backward_ms: Option<Vec<Option<u32>>>,
    /// The lengths along the street, meters; great-circle distances if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<PieceLength>>, max_items = 50_000)]
    pub lengths_m: Option<Vec<f64>>,
}

/// A driving time, milliseconds.
#[derive(ToSchema)]
#[schema(as = StreetDriveMs, minimum = 1, maximum = 86_400_000, example = 7_700)]
#[expect(dead_code, reason = "only a schema")]
struct DriveMs(u32);

/// A length, meters.
#[derive(ToSchema)]
#[schema(as = StreetLength, minimum = 0.0, maximum = 1_000_000.0, example = 86.3)]
#[expect(dead_code, reason = "only a schema")]
struct PieceLength(f64);

/// Builds the graph of a map.
///
/// # Errors
/// If the streets are not connected; if there are none.
pub fn graph(lines: &Lines, drives: &[LineDrives]) -> Result<Streets, InvalidStreets> {
    let place = |[lon, lat]: [f64; 2]| Position::new(lat, lon).ok();
    let ms = |times: &Option<Vec<Option<u32>>>, index: usize| times.as_ref()?.get(index).copied()?;
    let pieces = lines.iter().zip(drives).flat_map(|(line, drives)| {
        line.windows(2).enumerate().filter_map(move |(index, ends)| {
            Some(Piece {
                ends: [place(ends[0])?, place(ends[1])?],
                forward_ms: ms(&drives.forward_ms, index),
                backward_ms: ms(&drives.backward_ms, index),
                length_m: drives.lengths_m.as_ref().and_then(|lengths| lengths.get(index).copied()),
            })
        })
    });
    lines::graph(pieces)
}

/// Gives the published map to the router whenever it changes. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StreetFollower {
    platform: Platform,
    /// `None` if the service has a map of its own.
    router: Option<Arc<Router>>,
    /// The version of the router's map; 0 before the first.
    version: Arc<Mutex<i64>>,
}

impl StreetFollower {
    /// Creates a follower for a router; without one, it does nothing.
    pub fn new(platform: Platform, router: Option<Arc<Router>>) -> Self {
        Self { platform, router, version: Arc::default() }
    }

    /// Follows the map until the process shuts down.
    pub async fn run(self) {
        while !self.platform.shutdown.is_cancelled() {
            if let Err(error) = self.run_once().await {
                tracing::warn!(%error, "the published streets cannot be read; trying again");
            }
            tokio::select! {
                () = self.platform.shutdown.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_EVERY) => {}
            }
        }
    }

    /// Reads the map if there is another version.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_once(&self) -> Result<()> {
        let Some(router) = &self.router else { return Ok(()) };
        let version = self.platform.db.read((), |conn, ()| Box::pin(store::streets_version(conn))).await?;
        if version == *self.version() {
            return Ok(());
        }
        let map = self.platform.db.read((), |conn, ()| Box::pin(store::street_drives(conn))).await?;
        let (version, streets) = match map {
            Some((version, coordinates, Some(drives))) => (version, self.build(coordinates, drives).await?),
            Some((version, _, None)) => (version, None),
            None => (0, None),
        };
        let is_map = streets.is_some();
        let mut current = self.version();
        // Of two concurrent calls, the slower may have read the older map.
        if version < *current {
            return Ok(());
        }
        router.replace(streets);
        *current = version;
        drop(current);
        tracing::info!(version, is_map, "drives follow the published streets");
        Ok(())
    }

    fn version(&self) -> MutexGuard<'_, i64> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds the graph on a thread of its own: it takes milliseconds. A map that cannot be used leaves the estimates.
    async fn build(&self, coordinates: String, drives: String) -> Result<Option<Streets>> {
        let built = tokio::task::spawn_blocking(move || {
            let lines: Lines = serde_json::from_str(&coordinates).map_err(|error| error.to_string())?;
            let drives: Vec<LineDrives> = serde_json::from_str(&drives).map_err(|error| error.to_string())?;
            graph(&lines, &drives).map_err(|error| error.to_string())
        });
        match built.await.map_err(|error| Error::Bug(format!("the graph of the published streets: {error}")))? {
            Ok(streets) => Ok(Some(streets)),
            Err(problem) => {
                tracing::warn!(problem, "the published streets cannot be used; drives are estimated");
                Ok(None)
            }
        }
    }
}
