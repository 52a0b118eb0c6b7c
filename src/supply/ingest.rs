//! Position ingest: the one way from a reported position into the index.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PositionReport, PositionVerdict, Supply};
use crate::geo::Position;
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::DriverId;
use crate::platform::leader;

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

/// The verdict on a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VerdictBody)]
pub struct PositionResult {
    /// The verdict.
    pub verdict: PositionVerdict,
    /// How far `recorded_at` is ahead of the service's clock, milliseconds of domain time; negative if it is behind. Only with `future`
    /// and `stale`: a device subtracts it from its times.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 61_000)]
    pub ahead_ms: Option<i64>,
}

impl PositionResult {
    fn new(verdict: PositionVerdict, recorded_at: DomainTime, received_at: DomainTime) -> Self {
        let is_time_off = matches!(verdict, PositionVerdict::Future | PositionVerdict::Stale);
        let ahead_ms = (recorded_at.utc() - received_at.utc()).num_milliseconds();
        Self { verdict, ahead_ms: is_time_off.then_some(ahead_ms) }
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
) -> Result<Vec<PositionResult>> {
    platform.leadership.require()?;
    let received_at = platform.clock.domain();
    let results = reports.into_iter().map(|report| -> Result<PositionResult> {
        let verdict = supply.report(report, received_at).ok_or_else(leader::not_the_matcher)?;
        platform.metrics.supply.positions.with_label_values(&[verdict.as_str()]).inc();
        Ok(PositionResult::new(verdict, report.recorded_at, received_at))
    });
    results.collect()
}

/// Takes one reported position into the index, as [`ingest`].
///
/// # Errors
/// As [`ingest`].
pub fn ingest_one(platform: &Platform, supply: &Supply, report: PositionReport) -> Result<PositionResult> {
    let results = ingest(platform, supply, [report])?;
    results.first().copied().ok_or_else(|| Error::Bug("a position without a verdict".to_owned()))
}
