//! The binary frames of one map: a few bytes for each driver that moved.

use super::{Area, Drivers};

/// The most drivers in one frame; the next frame has the rest.
const FRAME_DRIVERS_MAX: usize = 20_000;

/// The header's size: kind, counts, and area.
const HEADER_BYTES: usize = 48;

/// The size of one driver: handle, x, y, activity.
const DRIVER_BYTES: usize = 9;

/// The kind of the first frame of an area: it replaces all others.
const WHOLE: u8 = 1;

/// The kind of a frame with the changes since the last.
const CHANGES: u8 = 2;

/// A driver's x and y in the area, and activity.
type Sent = (u16, u16, u8);

/// The drivers of one area, as one map knows them.
///
/// A frame is little-endian, and laid out so that a browser can use typed arrays on it without parsing:
///
/// | offset | content |
/// | --- | --- |
/// | 0 | u8: 1 replaces all drivers, 2 has changes |
/// | 4 | u32: *n*, drivers in this frame |
/// | 8 | u32: *m*, drivers removed: offline, or out of the area |
/// | 16 | four f64: south, west, north, east of the area, degrees |
/// | 48 | *n* u32: handles |
/// | 48 + 4*n* | *m* u32: handles of the removed |
/// | … | *n* u16: x, from 0 in the west to 65,535 in the east |
/// | … | *n* u16: y, from 0 in the south to 65,535 in the north, linear in latitude |
/// | … | *n* u8: activities, by their position in [`super::DriverActivity`] |
#[derive(Debug)]
pub struct Feed {
    area: Area,
    /// By handle.
    sent: Vec<Option<Sent>>,
    is_new: bool,
}

impl Feed {
    /// The feed of a map that shows this area and knows no driver yet.
    pub fn new(area: Area) -> Self {
        Self { area, sent: Vec::new(), is_new: true }
    }

    /// The area of the map.
    pub fn area(&self) -> &Area {
        &self.area
    }

    /// Returns the frame that updates the map to `drivers`; `None` if it is up to date. O(n) in all drivers.
    pub fn next(&mut self, drivers: &Drivers) -> Option<Vec<u8>> {
        self.sent.resize(drivers.dots.len().max(self.sent.len()), None);
        let (mut shown, mut removed) = (Vec::new(), Vec::new());
        for (handle, sent) in (0_u32..).zip(&mut self.sent) {
            let dot = drivers.dots.get(usize::try_from(handle).unwrap_or(usize::MAX)).copied().flatten();
            let now = dot.and_then(|dot| self.area.steps_to(dot.position).map(|(x, y)| (x, y, dot.activity as u8)));
            if now == *sent || shown.len() + removed.len() == FRAME_DRIVERS_MAX {
                continue;
            }
            *sent = now;
            match now {
                Some(driver) => shown.push((handle, driver)),
                None => removed.push(handle),
            }
        }
        if shown.is_empty() && removed.is_empty() && !self.is_new {
            return None;
        }
        let kind = if std::mem::take(&mut self.is_new) { WHOLE } else { CHANGES };
        Some(self.frame(kind, &shown, &removed))
    }

    fn frame(&self, kind: u8, shown: &[(u32, Sent)], removed: &[u32]) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut frame = Vec::with_capacity(HEADER_BYTES + shown.len() * DRIVER_BYTES + removed.len() * 4);
        frame.extend([kind, 0, 0, 0]);
        frame.extend(count(shown.len()));
        frame.extend(count(removed.len()));
        frame.extend([0; 4]);
        let Area { south, west, north, east } = self.area;
        [south, west, north, east].iter().for_each(|edge| frame.extend(edge.to_le_bytes()));
        shown.iter().for_each(|(handle, _)| frame.extend(handle.to_le_bytes()));
        removed.iter().for_each(|handle| frame.extend(handle.to_le_bytes()));
        shown.iter().for_each(|(_, (x, _, _))| frame.extend(x.to_le_bytes()));
        shown.iter().for_each(|(_, (_, y, _))| frame.extend(y.to_le_bytes()));
        shown.iter().for_each(|(_, (_, _, activity))| frame.push(*activity));
        frame
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
