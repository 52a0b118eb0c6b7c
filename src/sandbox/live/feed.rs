//! What one map has been sent, and what it has to be sent next: a few bytes for each driver who moved.

use super::{Area, Drivers};

/// Drivers in one frame at most; the others come with the next.
const FRAME_DRIVERS_MAX: usize = 20_000;

/// Bytes before the drivers: kind, three of nothing, how many are there, how many are gone, four of nothing, and the area.
const HEADER_BYTES: usize = 48;

/// Bytes of one driver: handle, x, y, state.
const DRIVER_BYTES: usize = 9;

/// The first frame of an area: forget the others.
const WHOLE: u8 = 1;

/// Only what has changed since the frame before.
const CHANGES: u8 = 2;

/// Where a driver is in the area, and the number of what they do.
type Shown = (u16, u16, u8);

/// The drivers of one area, as one map knows them.
///
/// A frame is little-endian, and arranged so that a browser can lay typed arrays over it without reading it:
///
/// | offset | what |
/// | --- | --- |
/// | 0 | u8: 1, forget what was before; 2, changes |
/// | 4 | u32: *n*, drivers in this frame |
/// | 8 | u32: *m*, drivers who are gone: offline, or out of the area |
/// | 16 | four f64: south, west, north, east of the area, degrees |
/// | 48 | *n* u32: handles |
/// | 48 + 4*n* | *m* u32: handles of those who are gone |
/// | … | *n* u16: x, from 0 in the west to 65,535 in the east |
/// | … | *n* u16: y, from 0 in the south to 65,535 in the north, straight in latitude |
/// | … | *n* u8: what they are doing, the numbers of [`super::Doing`] |
#[derive(Debug)]
pub struct Feed {
    area: Area,
    /// By handle.
    sent: Vec<Option<Shown>>,
    is_new: bool,
}

impl Feed {
    /// A map that looks at this area and knows nobody yet.
    pub fn new(area: Area) -> Self {
        Self { area, sent: Vec::new(), is_new: true }
    }

    /// What it looks at.
    pub fn area(&self) -> &Area {
        &self.area
    }

    /// The frame that brings the map from what it was sent last to `drivers`; none if it shows them already. O(n) in all drivers.
    pub fn next(&mut self, drivers: &Drivers) -> Option<Vec<u8>> {
        self.sent.resize(drivers.dots.len().max(self.sent.len()), None);
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for (handle, sent) in (0_u32..).zip(&mut self.sent) {
            let dot = drivers.dots.get(usize::try_from(handle).unwrap_or(usize::MAX)).copied().flatten();
            let now = dot.and_then(|dot| self.area.steps_to(dot.place).map(|(x, y)| (x, y, dot.doing as u8)));
            if now == *sent || there.len() + gone.len() == FRAME_DRIVERS_MAX {
                continue;
            }
            *sent = now;
            match now {
                Some(shown) => there.push((handle, shown)),
                None => gone.push(handle),
            }
        }
        if there.is_empty() && gone.is_empty() && !self.is_new {
            return None;
        }
        let kind = if std::mem::take(&mut self.is_new) { WHOLE } else { CHANGES };
        Some(self.frame(kind, &there, &gone))
    }

    fn frame(&self, kind: u8, there: &[(u32, Shown)], gone: &[u32]) -> Vec<u8> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut frame = Vec::with_capacity(HEADER_BYTES + there.len() * DRIVER_BYTES + gone.len() * 4);
        frame.extend([kind, 0, 0, 0]);
        frame.extend(count(there.len()));
        frame.extend(count(gone.len()));
        frame.extend([0; 4]);
        let Area { south, west, north, east } = self.area;
        [south, west, north, east].iter().for_each(|edge| frame.extend(edge.to_le_bytes()));
        there.iter().for_each(|(handle, _)| frame.extend(handle.to_le_bytes()));
        gone.iter().for_each(|handle| frame.extend(handle.to_le_bytes()));
        there.iter().for_each(|(_, (x, _, _))| frame.extend(x.to_le_bytes()));
        there.iter().for_each(|(_, (_, y, _))| frame.extend(y.to_le_bytes()));
        there.iter().for_each(|(_, (_, _, doing))| frame.push(*doing));
        frame
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
