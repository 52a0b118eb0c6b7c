//! Lab 8: riders whose nearest car is in another cell than they are.

use std::collections::HashMap;

use h3o::{CellIndex, LatLng, Resolution};

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::geometry::{self, Place};
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 8,
    name: "cell-edges",
    title: "Cell edges",
    question: "Free cars are kept by cell (H3), and a rider is matched within their own cell. For how many of 100 \
               riders is the nearest car in another cell?",
    bet: BetQuestion {
        ask: "for how many of 100 riders is the nearest car outside their own cell (resolution 8, four cars to a \
              cell)?",
        unit: "of 100 riders",
    },
    kind: Kind::Simulation,
    held_fixed: "A city of 10 km by 10 km, 540 free cars and 4,000 riders at random places; riders stay 1 km from \
                 its edge. A cell of resolution 8 covers 0.74 km², which makes about four cars to a cell; of \
                 resolution 7 seven times as much, of resolution 9 a seventh. The distance is straight.",
    would_change: "More cars to a cell make it rarer: the nearest car is closer, and the edge farther. Fewer cars \
                   make it the rule. Cars that stand at stations make it depend on where the edges are. Real streets \
                   make the straight distance a first guess.",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

const CITY_M: f64 = 10_000.0;

/// Riders stay so far from the edge of the city: there a cell has cars only in a part of it.
const MARGIN_M: f64 = 1_000.0;

/// The columns of the table.
const OUTSIDE: usize = 0;
const OUTSIDE_RING: usize = 1;

/// The resolution that the bet is about, which is the service's (src/geo/cells.rs).
const OF_BET: Resolution = Resolution::Eight;

const RESOLUTIONS: [Resolution; 3] = [Resolution::Seven, OF_BET, Resolution::Nine];

/// The sizes of a measurement.
struct Sizes {
    cars: usize,
    riders: usize,
}

const FULL: Sizes = Sizes { cars: 540, riders: 4_000 };

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("nearest car outside the own cell", "of 100", 1),
        Column::new("nearest car outside the cell and its ring", "of 100", 2),
        Column::new("no car in the own cell", "of 100", 1),
        Column::new("the car of the own cell is farther by", "m", 0),
        Column::new("cars to a cell", "", 1),
    ]);
    for run in 0..context.runs {
        let mut rng = context.random("city", run);
        let cars: Vec<Place> = (0..sizes.cars).map(|_| geometry::random_place(&mut rng, CITY_M)).collect();
        let inner = CITY_M - 2.0 * MARGIN_M;
        let riders = (0..sizes.riders).map(|_| geometry::random_place(&mut rng, inner).map(|at| at + MARGIN_M));
        let riders: Vec<Place> = riders.collect();
        for resolution in RESOLUTIONS {
            context.step(run, &label(resolution))?;
            measured.record(&label(resolution), &compare(&cars, &riders, resolution)?);
        }
    }
    Ok(result(measured))
}

fn label(resolution: Resolution) -> String {
    format!("resolution {}", u8::from(resolution))
}

fn cell_at(place: Place, resolution: Resolution) -> Result<CellIndex> {
    let (lat, lon) = geometry::degrees(place);
    Ok(LatLng::new(lat, lon).map_err(|error| error.to_string())?.to_cell(resolution))
}

/// Returns the figures of a row.
fn compare(cars: &[Place], riders: &[Place], resolution: Resolution) -> Result<[f64; 5]> {
    let mut by_cell: HashMap<CellIndex, Vec<Place>> = HashMap::new();
    for car in cars {
        by_cell.entry(cell_at(*car, resolution)?).or_default().push(*car);
    }
    let nearest = |rider: Place, cars: &[Place]| {
        cars.iter().map(|car| geometry::distance_m(rider, *car)).fold(f64::INFINITY, f64::min)
    };
    let (mut outside, mut outside_ring, mut empty, mut farther_m) = (0_u32, 0_u32, 0_u32, Vec::new());
    for rider in riders {
        let own = cell_at(*rider, resolution)?;
        let of = |cell: &CellIndex| by_cell.get(cell).map_or(f64::INFINITY, |cars| nearest(*rider, cars));
        let (all_m, own_m) = (nearest(*rider, cars), of(&own));
        let ring_m = own.grid_disk::<Vec<_>>(1).iter().map(of).fold(f64::INFINITY, f64::min);
        outside += u32::from(own_m > all_m);
        outside_ring += u32::from(ring_m > all_m);
        empty += u32::from(own_m.is_infinite());
        if own_m.is_finite() && own_m > all_m {
            farther_m.push(own_m - all_m);
        }
    }
    let share = |count: u32| 100.0 * f64::from(count) / riders.len() as f64;
    let cell_km2 = cell_at([CITY_M / 2.0; 2], resolution)?.area_km2();
    let cars_to_a_cell = cars.len() as f64 / (CITY_M * CITY_M / 1e6) * cell_km2;
    Ok([share(outside), share(outside_ring), share(empty), statistics::mean(&farther_m), cars_to_a_cell])
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let of = |column| table.median(&label(OF_BET), column);
    let figure = numbers::short;
    let conclusions = vec![
        format!(
            "With {} cars to a cell the nearest car of {} of 100 riders is in another cell; {} of 100 find no car in \
             their own.",
            figure(of(4)),
            figure(of(OUTSIDE)),
            figure(of(2))
        ),
        format!(
            "The best car of the own cell is then {} m farther away on average. With the ring of neighbors the error \
             falls to {} of 100.",
            figure(of(3)),
            figure(of(OUTSIDE_RING))
        ),
        format!(
            "Larger cells err less and compare more cars ({} of 100 at resolution 7); smaller ones err more ({} at \
             resolution 9). A search that is exact has to go on until the next ring cannot be nearer; the service's \
             tree has no edges.",
            figure(table.median(&label(Resolution::Seven), OUTSIDE)),
            figure(table.median(&label(Resolution::Nine), OUTSIDE))
        ),
    ];
    let plot = Plot::bars(
        "Riders whose nearest car is missed",
        Axis::linear("riders", "of 100"),
        &table,
        &[OUTSIDE, OUTSIDE_RING],
    );
    let text = format!(
        "At resolution 8. With the ring of neighbors: {}; at resolution 7: {}; at resolution 9: {}.",
        figure(of(OUTSIDE_RING)),
        figure(table.median(&label(Resolution::Seven), OUTSIDE)),
        figure(table.median(&label(Resolution::Nine), OUTSIDE))
    );
    let answer = LAB.bet.answer(of(OUTSIDE), text);
    LabResult { table, answer, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_riders_are_missed_fewer_with_the_ring_and_more_by_small_cells() {
        let result = measure(&Context::quiet(1, 2, None), &Sizes { cars: 540, riders: 300 }).expect("a result");
        let figure = |resolution, column| result.table.median(&label(resolution), column);
        assert!(figure(OF_BET, OUTSIDE) > 0.0);
        assert!(figure(OF_BET, OUTSIDE_RING) < figure(OF_BET, OUTSIDE));
        assert!(figure(Resolution::Seven, OUTSIDE) < figure(Resolution::Nine, OUTSIDE));
        assert!(figure(OF_BET, 2) <= figure(OF_BET, OUTSIDE));
        assert!((3.0..5.0).contains(&figure(OF_BET, 4)), "{}", result.table.text());
    }

    #[test]
    fn only_car_in_the_own_cell_is_never_missed() {
        let rider = [5_000.0, 5_000.0];
        let figures = compare(&[rider], &[rider], OF_BET).expect("figures");
        assert!(figures[OUTSIDE].abs() < 1e-9 && figures[2].abs() < 1e-9);
    }
}
