//! The rules of prices, all in this one place and all in integers: metres, seconds and minor units in, minor units out.

use crate::geo::roads::Leg;
use crate::platform::class::VehicleClass;
use crate::platform::money::{Currency, Money, scaled};

/// What a class of car costs, in minor units of [`CURRENCY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// To get in.
    pub base: i64,
    /// For each kilometre.
    pub per_km: i64,
    /// For each minute of the drive.
    pub per_minute: i64,
    /// No ride costs less.
    pub minimum: i64,
    /// For each minute that the driver waits beyond [`WAITING_FREE_S`].
    pub waiting_per_minute: i64,
    /// For a cancellation that is not free.
    pub cancellation_fee: i64,
    /// For not coming to the car.
    pub no_show_fee: i64,
}

/// The currency that everything is priced in. One city, one currency; a second one would come with the city.
pub const CURRENCY: Currency = Currency::USD;

/// Waiting at the pickup that the price includes.
pub const WAITING_FREE_S: i64 = 120;

/// Waiting is charged for this long at most. By then the driver has had the right to leave for a quarter of an hour.
pub const WAITING_CHARGED_S_MAX: i64 = 1_200;

/// The driver's part of what the rider is charged, in percent. The platform takes the rest, and the rounding.
pub const DRIVER_SHARE_PERCENT: i64 = 75;

/// No surge, in basis points.
pub const NO_SURGE_BP: i32 = 10_000;

impl Tariff {
    /// The tariff of a class.
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

/// A price and the lines that it is made of, in minor units. The lines sum to the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fare {
    /// To get in.
    pub base: i64,
    /// For the kilometres.
    pub by_distance: i64,
    /// For the minutes.
    pub by_time: i64,
    /// What surge adds.
    pub surge: i64,
    /// What was missing to the minimum.
    pub to_minimum: i64,
}

impl Fare {
    /// The price.
    pub fn total(&self) -> Money {
        Money::new(self.base + self.by_distance + self.by_time + self.surge + self.to_minimum, CURRENCY)
    }
}

/// The price of a drive, locked in advance. Every line is rounded half up on its own, so that what the rider sees adds up.
///
/// `None` for a drive so long, or a surge so high, that the price does not fit into 64 bits.
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

/// What waiting costs beyond the time that is free, by the started minute.
pub fn waiting_charge(class: VehicleClass, waited_s: i64) -> i64 {
    let charged_s = (waited_s - WAITING_FREE_S).clamp(0, WAITING_CHARGED_S_MAX);
    let minutes = (charged_s + 59) / 60;
    Tariff::of(class).waiting_per_minute * minutes
}

/// The driver's part of `total` minor units, rounded down: the platform takes the rounding.
pub fn driver_share(total: i64) -> i64 {
    i64::try_from(i128::from(total) * i128::from(DRIVER_SHARE_PERCENT) / 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_kilometres_in_a_quarter_of_an_hour() {
        let fare =
            price(VehicleClass::Standard, Leg { distance_m: 5_000, duration_s: 900 }, NO_SURGE_BP).expect("small");
        assert_eq!(fare, Fare { base: 250, by_distance: 550, by_time: 525, surge: 0, to_minimum: 0 });
        assert_eq!(fare.total(), Money::new(1_325, CURRENCY));
    }

    #[test]
    fn fifty_metres_cost_the_minimum() {
        let fare = price(VehicleClass::Standard, Leg { distance_m: 50, duration_s: 8 }, NO_SURGE_BP).expect("small");
        assert_eq!(fare.total().amount, Tariff::of(VehicleClass::Standard).minimum);
    }

    #[test]
    fn waiting_is_free_for_two_minutes_and_then_by_the_started_minute() {
        let charge = |waited_s| waiting_charge(VehicleClass::Standard, waited_s);
        assert_eq!([0, 120, 121, 180, 181, 1_000_000].map(charge), [0, 0, 35, 35, 70, 700]);
    }

    #[test]
    fn an_absurd_drive_has_no_price() {
        assert_eq!(price(VehicleClass::Xl, Leg { distance_m: i64::MAX, duration_s: i64::MAX }, i32::MAX), None);
    }

    proptest! {
        #[test]
        fn a_price_is_the_sum_of_lines_that_are_not_negative(
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
        fn a_longer_drive_never_costs_less(a in 0..1_000_000_i64, b in 0..1_000_000_i64) {
            let of = |distance_m| price(VehicleClass::Standard, Leg { distance_m, duration_s: 0 }, NO_SURGE_BP);
            let (short, long) = (a.min(b), a.max(b));
            prop_assert!(of(short).expect("small").total().amount <= of(long).expect("small").total().amount);
        }

        #[test]
        fn the_driver_never_gets_more_than_the_rider_pays(total in 0..i64::MAX) {
            let share = driver_share(total);
            prop_assert!(share >= 0 && share <= total);
        }
    }
}
