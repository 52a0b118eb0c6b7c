//! The prices and their rules. Pure and in integers: meters, seconds and minor units in, minor units out.

use crate::demand::surge::NO_SURGE_BP;
use crate::geo::roads::Leg;
use crate::platform::class::VehicleClass;
use crate::platform::money::{Currency, Money, scaled};

/// The prices of a class of car, in minor units of [`CURRENCY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// The base fare.
    pub base: i64,
    /// Per kilometer.
    pub per_km: i64,
    /// Per minute of the drive.
    pub per_minute: i64,
    /// The minimum fare.
    pub minimum: i64,
    /// Per started minute of waiting over [`WAITING_FREE_S`].
    pub waiting_per_minute: i64,
    /// The fee of a cancellation that is not free.
    pub cancellation_fee: i64,
    /// The fee of a no-show.
    pub no_show_fee: i64,
}

/// The currency of all prices. One city has one currency.
pub const CURRENCY: Currency = Currency::USD;

/// The waiting at the pickup that the price includes, seconds.
pub const WAITING_FREE_S: i64 = 120;

/// The longest waiting that is charged, seconds after the free time. A no-show is possible after 300 s.
pub const WAITING_CHARGED_S_MAX: i64 = 1_200;

/// The driver's share of the rider's charge, percent. The platform gets the rest and the rounding.
pub const DRIVER_SHARE_PERCENT: i64 = 75;

impl Tariff {
    /// Returns the tariff of a class.
    pub const fn of(class: VehicleClass) -> Self {
        match class {
            VehicleClass::Standard => Self {
                base: 250,
                per_km: 110,
                per_minute: 35,
                minimum: 700,
                waiting_per_minute: 35,
                cancellation_fee: 500,
                no_show_fee: 500,
            },
            VehicleClass::Comfort => Self {
                base: 350,
                per_km: 150,
                per_minute: 45,
                minimum: 900,
                waiting_per_minute: 45,
                cancellation_fee: 600,
                no_show_fee: 600,
            },
            VehicleClass::Xl => Self {
                base: 450,
                per_km: 190,
                per_minute: 55,
                minimum: 1_100,
                waiting_per_minute: 55,
                cancellation_fee: 700,
                no_show_fee: 700,
            },
        }
    }
}

/// The lines of a price, minor units. They sum to the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fare {
    /// The base fare.
    pub base: i64,
    /// The kilometers.
    pub by_distance: i64,
    /// The minutes.
    pub by_time: i64,
    /// The surge.
    pub surge: i64,
    /// The difference to the minimum fare.
    pub to_minimum: i64,
}

impl Fare {
    /// Returns the sum of the lines.
    pub fn total(&self) -> Money {
        Money::new(self.base + self.by_distance + self.by_time + self.surge + self.to_minimum, CURRENCY)
    }
}

/// Returns the upfront price of a drive. Each line is rounded half up by itself, so that the visible lines add up.
///
/// `None` if the price overflows 64 bits.
pub fn price(class: VehicleClass, leg: Leg, surge_bp: i32) -> Option<Fare> {
    let tariff = Tariff::of(class);
    let base = tariff.base;
    let by_distance = scaled(tariff.per_km, leg.distance_m, 1_000)?;
    let by_time = scaled(tariff.per_minute, leg.duration_s, 60)?;
    let metered = base.checked_add(by_distance)?.checked_add(by_time)?;
    let extra_bp = i64::from(surge_bp.saturating_sub(NO_SURGE_BP));
    let surge = scaled(metered, extra_bp, i64::from(NO_SURGE_BP))?;
    let to_minimum = tariff.minimum.saturating_sub(metered.checked_add(surge)?).max(0);
    Some(Fare { base, by_distance, by_time, surge, to_minimum })
}

/// Returns the charge for waiting over [`WAITING_FREE_S`], by the started minute.
pub fn waiting_charge(class: VehicleClass, waited_s: i64) -> i64 {
    let charged_s = (waited_s - WAITING_FREE_S).clamp(0, WAITING_CHARGED_S_MAX);
    let minutes = (charged_s + 59) / 60;
    Tariff::of(class).waiting_per_minute * minutes
}

/// Returns the driver's share of `total` minor units, rounded down.
pub fn driver_share(total: i64) -> i64 {
    i64::try_from(i128::from(total) * i128::from(DRIVER_SHARE_PERCENT) / 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_km_in_15_min_cost_base_plus_distance_plus_time() {
        let fare =
            price(VehicleClass::Standard, Leg { distance_m: 5_000, duration_s: 900 }, NO_SURGE_BP).expect("small");
        assert_eq!(fare, Fare { base: 250, by_distance: 550, by_time: 525, surge: 0, to_minimum: 0 });
        assert_eq!(fare.total(), Money::new(1_325, CURRENCY));
    }

    #[test]
    fn short_drive_costs_the_minimum_fare() {
        let fare = price(VehicleClass::Standard, Leg { distance_m: 50, duration_s: 8 }, NO_SURGE_BP).expect("small");
        assert_eq!(fare.total().amount, Tariff::of(VehicleClass::Standard).minimum);
    }

    #[test]
    fn waiting_is_free_for_120_s_then_charged_by_started_minute() {
        let charge = |waited_s| waiting_charge(VehicleClass::Standard, waited_s);
        assert_eq!([0, 120, 121, 180, 181, 1_000_000].map(charge), [0, 0, 35, 35, 70, 700]);
    }

    #[test]
    fn overflowing_price_is_none() {
        assert_eq!(price(VehicleClass::Xl, Leg { distance_m: i64::MAX, duration_s: i64::MAX }, i32::MAX), None);
    }

    proptest! {
        #[test]
        fn lines_are_not_negative_and_price_is_at_least_the_minimum(
            distance_m in 0..30_000_000_i64, duration_s in 0..5_000_000_i64, surge_bp in NO_SURGE_BP..50_000,
        ) {
            for class in VehicleClass::ALL {
                let fare = price(class, Leg { distance_m, duration_s }, surge_bp).expect("within range");
                let lines = [fare.base, fare.by_distance, fare.by_time, fare.surge, fare.to_minimum];
                prop_assert!(lines.iter().all(|line| *line >= 0));
                prop_assert!(fare.total().amount >= Tariff::of(class).minimum);
            }
        }

        #[test]
        fn longer_drive_never_costs_less(a in 0..1_000_000_i64, b in 0..1_000_000_i64) {
            let of = |distance_m| price(VehicleClass::Standard, Leg { distance_m, duration_s: 0 }, NO_SURGE_BP);
            let (short, long) = (a.min(b), a.max(b));
            prop_assert!(of(short).expect("small").total().amount <= of(long).expect("small").total().amount);
        }

        #[test]
        fn driver_share_is_at_most_the_total(total in 0..i64::MAX) {
            let share = driver_share(total);
            prop_assert!(share >= 0 && share <= total);
        }
    }
}
