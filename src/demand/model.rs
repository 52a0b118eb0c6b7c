//! The surge of a place, and why it has it.

use chrono::TimeDelta;

use super::sketch::HALF_LIFE;
use super::surge::NO_SURGE_BP;
use super::zones::{Zone, ZoneStates};
use crate::geo::cells::Cell;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::ids::OpsId;

/// The age from which computed multipliers count no more: without a matcher, no one knows the supply (machine time).
pub const STALE_AFTER: TimeDelta = TimeDelta::seconds(30);

/// A multiplier that an operator has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The cell.
    pub cell: Cell,
    /// The multiplier, basis points.
    pub multiplier_bp: i32,
    /// Why, in the operator's words. For operators only.
    pub reason: String,
    /// Who set it.
    pub set_by: OpsId,
    /// When it was set.
    pub set_at: DomainTime,
    /// When it ends.
    pub expires_at: DomainTime,
}

/// The surge at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSurge {
    /// The multiplier, basis points.
    pub multiplier_bp: i32,
    /// The cell that has it; `None` without surge.
    pub cell: Option<Cell>,
    /// Why, as a sentence for riders.
    pub reason: String,
}

impl PlaceSurge {
    /// Returns the surge of a place that has none.
    pub fn none() -> Self {
        Self { multiplier_bp: NO_SURGE_BP, cell: None, reason: "No surge.".to_owned() }
    }

    /// Returns the surge of a cell: what an operator has set, or else what was computed.
    pub fn of(cell: Cell, zone: Option<&Zone>, set: Option<&Override>) -> Self {
        let (multiplier_bp, reason) = match (set, zone) {
            (Some(set), _) => (set.multiplier_bp, "The multiplier was set by an operator.".to_owned()),
            (None, Some(zone)) => (zone.multiplier_bp, reason(zone)),
            (None, None) => return Self::none(),
        };
        if multiplier_bp == NO_SURGE_BP {
            return Self::none();
        }
        Self { multiplier_bp, cell: Some(cell), reason }
    }
}

/// Returns whether zones are recent enough to decide a price.
pub fn is_current(states: &ZoneStates, now: MachineTime) -> bool {
    now.since(states.computed_at) < STALE_AFTER
}

/// Says why a zone has its multiplier.
fn reason(zone: &Zone) -> String {
    let requests = (zone.nearby.expected_milli + 500) / 1_000;
    let minutes = HALF_LIFE.num_minutes();
    let drivers = match zone.nearby.idle {
        0 => "no driver is".to_owned(),
        1 => "1 driver is".to_owned(),
        more => format!("{more} drivers are"),
    };
    let rides = if requests == 1 { "ride is" } else { "rides are" };
    format!("About {requests} {rides} expected here within {minutes} minutes, and {drivers} free nearby.")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::demand::surge::Balance;
    use crate::geo::Position;

    fn zone(multiplier_bp: i32, idle: i32) -> Zone {
        let cell = Cell::at(Position::new(40.7484, -73.9857).expect("in range"));
        let nearby = Balance { expected_milli: 7_600, idle };
        Zone { cell, multiplier_bp, smoothed_bp: multiplier_bp, idle: 0, nearby }
    }

    fn time() -> DomainTime {
        DomainTime::new(DateTime::UNIX_EPOCH)
    }

    fn set(zone: &Zone, multiplier_bp: i32) -> Override {
        let reason = "A concert.".to_owned();
        let set_by = OpsId::from(Uuid::nil());
        Override { cell: zone.cell, multiplier_bp, reason, set_by, set_at: time(), expires_at: time() }
    }

    #[test]
    fn reason_has_demand_and_supply() {
        let found = PlaceSurge::of(zone(12_000, 2).cell, Some(&zone(12_000, 2)), None);
        assert_eq!(found.reason, "About 8 rides are expected here within 5 minutes, and 2 drivers are free nearby.");
        assert_eq!(found.cell, Some(zone(12_000, 2).cell));
        assert!(reason(&zone(12_000, 0)).contains("no driver is free"));
    }

    #[test]
    fn operator_decides_before_the_computation_also_for_no_surge() {
        let zone = zone(12_000, 2);
        let raised = PlaceSurge::of(zone.cell, Some(&zone), Some(&set(&zone, 15_000)));
        assert_eq!((raised.multiplier_bp, raised.reason.contains("operator")), (15_000, true));
        assert!(!raised.reason.contains("concert"), "the operator's words are not for riders");
        assert_eq!(PlaceSurge::of(zone.cell, Some(&zone), Some(&set(&zone, NO_SURGE_BP))), PlaceSurge::none());
        assert_eq!(PlaceSurge::of(zone.cell, None, None), PlaceSurge::none());
    }

    #[test]
    fn zones_are_stale_after_half_a_minute() {
        let states =
            ZoneStates { epoch: 1, as_of: time(), computed_at: MachineTime::new(time().utc()), zones: [].into() };
        let at = |seconds| states.computed_at + TimeDelta::seconds(seconds);
        assert!(is_current(&states, at(29)) && !is_current(&states, at(30)));
    }
}
