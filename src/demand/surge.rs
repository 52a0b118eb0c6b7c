//! The surge multiplier of a cell, from demand and supply. Pure, in integers but for the decay of the smoothing.
//!
//! Three steps: what demand and supply call for ([`target_bp`]), smoothed over time ([`smoothed_bp`]), and published in coarse steps with
//! hysteresis ([`published_bp`]), so that a price does not change with every request.

use chrono::TimeDelta;

/// The multiplier without surge, basis points.
pub const NO_SURGE_BP: i32 = 10_000;

/// The highest computed multiplier, basis points: twice the price.
pub const CAP_BP: i32 = 20_000;

/// The highest multiplier that an operator may set, basis points.
pub const OVERRIDE_MAX_BP: i32 = 30_000;

/// Expected requests, in thousandths, below which there is no surge: two people who leave a house at once are no shortage.
pub const EXPECTED_MIN_MILLI: i64 = 3_000;

/// What each further expected request per free driver adds, basis points. Five per driver reach the cap.
const SLOPE_BP: i64 = 2_500;

/// The time in which the smoothed multiplier covers half of its distance to the target (domain time).
const SMOOTHING_HALF_LIFE: TimeDelta = TimeDelta::seconds(60);

/// The step of published multipliers, basis points.
pub const STEP_BP: i32 = 1_000;

/// How far the smoothed multiplier must be from the published one to change it, basis points: more than half a step.
pub const HYSTERESIS_BP: i32 = 750;

/// Demand and supply in a cell and its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Expected requests, in thousandths: within the half-life of the counts unless stated otherwise.
    pub expected_milli: i64,
    /// Free drivers.
    pub idle: i32,
}

/// Returns the multiplier that a balance calls for, basis points: none up to one expected request per free driver, then [`SLOPE_BP`] for
/// each more, up to [`CAP_BP`]. Without a free driver it is as with one.
pub fn target_bp(balance: Balance) -> i32 {
    if balance.expected_milli < EXPECTED_MIN_MILLI {
        return NO_SURGE_BP;
    }
    let idle = i64::from(balance.idle.max(1));
    let above_one_milli = (balance.expected_milli / idle - 1_000).max(0);
    let added = above_one_milli.saturating_mul(SLOPE_BP) / 1_000;
    i32::try_from(added).unwrap_or(CAP_BP).saturating_add(NO_SURGE_BP).min(CAP_BP)
}

/// Moves a smoothed multiplier toward its target, by the domain time elapsed since the last step.
pub fn smoothed_bp(previous_bp: i32, target_bp: i32, elapsed: TimeDelta) -> i32 {
    let half_lives = elapsed.num_milliseconds().max(0) as f64 / SMOOTHING_HALF_LIFE.num_milliseconds() as f64;
    let rest = f64::from(target_bp - previous_bp) * (-half_lives).exp2();
    // Toward the target, so that it is reached.
    target_bp - rest.trunc() as i32
}

/// Returns the multiplier to publish: the previous one, or the step nearest to the smoothed one if that is farther than
/// [`HYSTERESIS_BP`] away.
pub fn published_bp(previous_bp: i32, smoothed_bp: i32) -> i32 {
    if (smoothed_bp - previous_bp).abs() < HYSTERESIS_BP {
        return previous_bp;
    }
    ((smoothed_bp + STEP_BP / 2) / STEP_BP * STEP_BP).clamp(NO_SURGE_BP, CAP_BP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(expected: i64, idle: i32) -> i32 {
        target_bp(Balance { expected_milli: expected * 1_000, idle })
    }

    #[test]
    fn grid_of_targets_by_expected_requests_and_free_drivers() {
        let row = |expected| [0, 1, 2, 4, 8, 16].map(|idle| target(expected, idle));
        assert_eq!(row(0), [10_000; 6]);
        assert_eq!(row(2), [10_000; 6], "too few requests");
        assert_eq!(row(3), [15_000, 15_000, 11_250, 10_000, 10_000, 10_000]);
        assert_eq!(row(4), [17_500, 17_500, 12_500, 10_000, 10_000, 10_000]);
        assert_eq!(row(8), [20_000, 20_000, 17_500, 12_500, 10_000, 10_000]);
        assert_eq!(row(16), [20_000, 20_000, 20_000, 17_500, 12_500, 10_000]);
        assert_eq!(row(1_000_000), [20_000; 6]);
    }

    /// Every balance of up to 40 requests, in tenths, and 40 drivers.
    #[test]
    fn target_is_within_its_limits_and_monotone_on_the_whole_grid() {
        let at = |tenths: i64, idle| target_bp(Balance { expected_milli: tenths * 100, idle });
        for tenths in 0..400 {
            for idle in 0..40 {
                let here = at(tenths, idle);
                assert!((NO_SURGE_BP..=CAP_BP).contains(&here));
                assert!(here <= at(tenths + 1, idle), "more demand never lowers it: {tenths}, {idle}");
                assert!(here >= at(tenths, idle + 1), "more supply never raises it: {tenths}, {idle}");
            }
        }
        for extreme in [i64::MIN, -1, i64::MAX] {
            for idle in [i32::MIN, 0, i32::MAX] {
                assert!((NO_SURGE_BP..=CAP_BP).contains(&target_bp(Balance { expected_milli: extreme, idle })));
            }
        }
    }

    /// Every pair of a published and a smoothed multiplier.
    #[test]
    fn published_changes_only_beyond_the_hysteresis_and_in_steps() {
        for previous in (NO_SURGE_BP..=CAP_BP).step_by(STEP_BP as usize) {
            for smoothed in NO_SURGE_BP..=CAP_BP {
                let next = published_bp(previous, smoothed);
                assert_eq!((next - NO_SURGE_BP) % STEP_BP, 0);
                assert!((NO_SURGE_BP..=CAP_BP).contains(&next));
                assert!((next - smoothed).abs() <= HYSTERESIS_BP, "{previous} {smoothed} {next}");
                assert_eq!(next == previous, (smoothed - previous).abs() < HYSTERESIS_BP);
                assert_eq!(published_bp(next, smoothed), next, "it rests");
            }
        }
    }

    #[test]
    fn target_that_alternates_by_one_step_changes_nothing() {
        let mut published = published_bp(NO_SURGE_BP, 12_000);
        for n in 0..20 {
            published = published_bp(published, if n % 2 == 0 { 12_500 } else { 11_500 });
            assert_eq!(published, 12_000);
        }
    }

    #[test]
    fn smoothed_covers_half_of_the_distance_in_a_minute_and_arrives() {
        assert_eq!(smoothed_bp(10_000, 20_000, TimeDelta::seconds(60)), 15_000);
        assert_eq!(smoothed_bp(20_000, 10_000, TimeDelta::seconds(120)), 12_500);
        let steps = |from, to| (0..400).fold(from, |now, _| smoothed_bp(now, to, TimeDelta::seconds(5)));
        assert_eq!((steps(10_000, 20_000), steps(20_000, 10_000)), (20_000, 10_000));
    }

    proptest! {
        #[test]
        fn smoothed_stays_between_previous_and_target(
            previous in NO_SURGE_BP..=CAP_BP, target in NO_SURGE_BP..=CAP_BP, ms in -1_000_000..1_000_000_i64,
        ) {
            let next = smoothed_bp(previous, target, TimeDelta::milliseconds(ms));
            prop_assert!((previous.min(target)..=previous.max(target)).contains(&next));
        }
    }
}
