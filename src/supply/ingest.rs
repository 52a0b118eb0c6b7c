//! Position ingest: the one way from a reported position into the index.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{PositionReport, PositionVerdict, Supply};
use crate::geo::Position;
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::DriverId;

/// The position of a driver, with the time at which it was recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationRequest {
    /// The position.
    position: Position,
    /// When the device recorded it (domain time). Required: a position without a time is refused.
    recorded_at: DomainTime,
}

impl LocationRequest {
    /// The position as a report by `driver`.
    pub fn reported_by(self, driver: DriverId) -> PositionReport {
        PositionReport { driver, position: self.position, recorded_at: self.recorded_at }
    }
}

/// Takes reported positions into the index, and counts their verdicts. All of them are received at the same time, by one matcher.
///
/// Called by `PUT /v1/drivers/me/location`, by `POST /v1/locations`, and by the driver's WebSocket.
/// [`PositionVerdict`] lists what drops a position; [`super::Fleet::report`] applies it.
///
/// # Errors
/// [`NotTheMatcher`](crate::platform::error::Code::NotTheMatcher) if another process keeps the index.
pub fn ingest(
    platform: &Platform,
    supply: &Supply,
    reports: impl IntoIterator<Item = PositionReport>,
) -> Result<Vec<PositionVerdict>> {
    platform.leadership.require()?;
    let received_at = platform.clock.domain();
    let verdicts = reports.into_iter().map(|report| {
        let verdict = supply.report(report, received_at);
        platform.metrics.positions.with_label_values(&[verdict.as_str()]).inc();
        verdict
    });
    Ok(verdicts.collect())
}

/// Takes one reported position into the index, as [`ingest`].
///
/// # Errors
/// As [`ingest`].
pub fn ingest_one(platform: &Platform, supply: &Supply, report: PositionReport) -> Result<PositionVerdict> {
    let verdicts = ingest(platform, supply, [report])?;
    verdicts.first().copied().ok_or_else(|| Error::Bug("a position without a verdict".to_owned()))
}
