//! A map that applies every frame it gets shows the current drivers, whichever frames it missed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;
use crate::sandbox::live::Rides;
use crate::supply::{LastKnown, OnlineDriver};

const VIEW: Area = Area { south: 0.0, west: 0.0, north: 1.0, east: 1.0 };

/// A map that applies frames, as the browser does.
#[derive(Default)]
struct Map(BTreeMap<u32, Sent>);

impl Map {
    fn apply(&mut self, frame: &[u8]) {
        let long = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap());
        let short = |at: usize| u16::from_le_bytes(frame[at..at + 2].try_into().unwrap());
        let (n, m) = (long(4) as usize, long(8) as usize);
        assert_eq!(frame.len(), HEADER_BYTES + n * DRIVER_BYTES + m * 4);
        if frame[0] == WHOLE {
            self.0.clear();
        }
        let (xs, ys, states) = (48 + 4 * (n + m), 48 + 4 * (n + m) + 2 * n, 48 + 4 * (n + m) + 4 * n);
        for i in 0..n {
            self.0.insert(long(48 + 4 * i), (short(xs + 2 * i), short(ys + 2 * i), frame[states + i]));
        }
        for i in 0..m {
            assert!(self.0.remove(&long(48 + 4 * (n + i))).is_some(), "removes an unknown driver");
        }
    }
}

/// The online drivers at a moment: some of a dozen, inside and outside of the area.
fn instant() -> impl Strategy<Value = Vec<OnlineDriver>> {
    let now = now();
    let place = (-2.0..3.0_f64, -2.0..3.0_f64).prop_map(|(lat, lon)| Position::new(lat, lon).unwrap());
    let online = prop::option::of((place, any::<bool>(), 0_i64..60));
    prop::collection::vec(online, 12).prop_map(move |drivers| {
        let seen = drivers.into_iter().zip(0_u128..).filter_map(|(online, number)| {
            let (position, is_free, age_s) = online?;
            let recorded_at = now - TimeDelta::seconds(age_s);
            let driver = DriverId::from(Uuid::from_u128(number));
            let last = LastKnown { driver, position, recorded_at, received_at: recorded_at };
            Some(OnlineDriver { last, class: VehicleClass::Standard, is_free })
        });
        seen.collect()
    })
}

fn now() -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap())
}

proptest! {
    #[test]
    fn map_equals_drivers_after_each_frame(instants in prop::collection::vec(instant(), 1..8)) {
        let mut feed = Feed::new(Area::around(VIEW).unwrap());
        let (mut map, mut drivers) = (Map::default(), Drivers::default());
        for seen in instants {
            drivers = drivers.next(seen, &Rides::default(), now(), true);
            if let Some(frame) = feed.next(&drivers) {
                map.apply(&frame);
            }
            let there = drivers.dots.iter().enumerate().filter_map(|(handle, dot)| {
                let dot = (*dot)?;
                let (x, y) = feed.area().steps_to(dot.position)?;
                Some((u32::try_from(handle).unwrap(), (x, y, dot.activity as u8)))
            });
            prop_assert_eq!(&map.0, &there.collect::<BTreeMap<_, _>>());
            prop_assert!(feed.next(&drivers).is_none(), "a frame without a change");
        }
    }
}

#[test]
fn first_frame_is_sent_without_drivers() {
    let mut feed = Feed::new(VIEW);
    let frame = feed.next(&Drivers::default()).unwrap();
    assert_eq!((frame.len(), frame[0]), (HEADER_BYTES, WHOLE));
    assert!(feed.next(&Drivers::default()).is_none());
}
