//! Geometry in the plane: points in meters east and north of the city's center.

/// A point, or a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Meters to the east.
    pub x: f64,
    /// Meters to the north.
    pub y: f64,
}

/// Makes a point.
pub(super) const fn at(x: f64, y: f64) -> Point {
    Point { x, y }
}

impl Point {
    pub fn plus(self, other: Self, factor: f64) -> Self {
        at(self.x + factor * other.x, self.y + factor * other.y)
    }

    pub fn to(self, other: Self) -> Self {
        other.plus(self, -1.0)
    }

    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    pub fn cross(self, other: Self) -> f64 {
        self.x * other.y - self.y * other.x
    }

    pub fn length(self) -> f64 {
        self.x.hypot(self.y)
    }

    pub fn distance(self, other: Self) -> f64 {
        self.to(other).length()
    }

    pub fn unit(self) -> Self {
        let length = self.length();
        if length > 0.0 { at(self.x / length, self.y / length) } else { at(1.0, 0.0) }
    }

    /// The vector turned by 90° to the left.
    pub fn left(self) -> Self {
        at(-self.y, self.x)
    }

    /// The unit vector in a direction, radians counterclockwise from east.
    pub fn toward(angle: f64) -> Self {
        at(angle.cos(), angle.sin())
    }
}

/// The point of a segment nearest to `p`, as a share of the segment, 0 to 1.
pub(super) fn nearest_share(p: Point, a: Point, b: Point) -> f64 {
    let along = a.to(b);
    let length_2 = along.dot(along);
    if length_2 > 0.0 { (a.to(p).dot(along) / length_2).clamp(0.0, 1.0) } else { 0.0 }
}

/// The distance from `p` to a segment.
pub(super) fn to_segment(p: Point, a: Point, b: Point) -> f64 {
    p.distance(a.plus(a.to(b), nearest_share(p, a, b)))
}

/// Where two segments cross, as shares of both.
pub(super) fn crossing(a: [Point; 2], b: [Point; 2]) -> Option<[f64; 2]> {
    let (u, v, w) = (a[0].to(a[1]), b[0].to(b[1]), a[0].to(b[0]));
    let turn = u.cross(v);
    if turn.abs() < 1e-9 {
        return None;
    }
    let shares = [w.cross(v) / turn, w.cross(u) / turn];
    shares.iter().all(|share| (0.0..=1.0).contains(share)).then_some(shares)
}

/// Whether a ring contains a point: a ray to the east crosses the ring an odd number of times.
pub(super) fn contains(ring: &[Point], p: Point) -> bool {
    let edges = ring.iter().zip(ring.iter().cycle().skip(1));
    let crossed =
        edges.filter(|(a, b)| (a.y > p.y) != (b.y > p.y) && a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x) > p.x);
    crossed.count() % 2 == 1
}

/// The part of a ring on the side of the bisector between two points where `a` is (Sutherland and Hodgman 1974).
pub(super) fn nearer_part(ring: &[Point], a: Point, b: Point) -> Vec<Point> {
    let side = |p: Point| p.distance(b) - p.distance(a);
    let bisector = |p: Point| (at(f64::midpoint(a.x, b.x), f64::midpoint(a.y, b.y))).to(p).dot(a.to(b));
    let mut part = Vec::new();
    for (&from, &to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        if side(from) >= 0.0 {
            part.push(from);
        }
        if (side(from) >= 0.0) != (side(to) >= 0.0) {
            let share = bisector(from) / (bisector(from) - bisector(to));
            part.push(from.plus(from.to(to), share));
        }
    }
    part
}

/// Leaves out points of a line that are within `tolerance_m` of it without them (Douglas and Peucker 1973).
pub(super) fn simplified(line: &[Point], tolerance_m: f64) -> Vec<Point> {
    let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return Vec::new() };
    let mut kept = vec![first];
    let mut open = vec![(0, line.len() - 1)];
    while let Some((from, to)) = open.pop() {
        let away = |at: &usize| to_segment(line[*at], line[from], line[to]);
        let farthest = (from + 1..to).max_by(|a, b| away(a).total_cmp(&away(b)));
        match farthest.filter(|at| away(at) > tolerance_m) {
            Some(middle) => open.extend([(middle, to), (from, middle)]),
            None if to > from => kept.push(line[to]),
            None => {}
        }
    }
    if kept.len() == 1 {
        kept.push(last);
    }
    kept
}

/// A smooth line through points (Catmull and Rom 1974), without the first and the last one.
pub(super) fn smooth(points: &[Point], steps: u32) -> Vec<Point> {
    let mut line = Vec::new();
    for ends in points.windows(4) {
        for step in 0..steps {
            let t = f64::from(step) / f64::from(steps);
            let spline = |p: [f64; 4]| {
                let quadratic = 2.0 * p[0] - 5.0 * p[1] + 4.0 * p[2] - p[3];
                let cubic = -p[0] + 3.0 * p[1] - 3.0 * p[2] + p[3];
                0.5 * (2.0 * p[1] + (p[2] - p[0]) * t + quadratic * t * t + cubic * t * t * t)
            };
            line.push(at(spline([0, 1, 2, 3].map(|i| ends[i].x)), spline([0, 1, 2, 3].map(|i| ends[i].y))));
        }
    }
    line.extend(points.len().checked_sub(2).map(|last| points[last]));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Point; 4] = [at(0.0, 0.0), at(10.0, 0.0), at(10.0, 10.0), at(0.0, 10.0)];

    #[test]
    fn segments_cross_at_their_shares() {
        let crossed = crossing([at(0.0, 0.0), at(10.0, 0.0)], [at(5.0, -1.0), at(5.0, 3.0)]);
        assert_eq!(crossed, Some([0.5, 0.25]));
        assert_eq!(crossing([at(0.0, 0.0), at(10.0, 0.0)], [at(5.0, 1.0), at(5.0, 3.0)]), None);
        assert_eq!(crossing([at(0.0, 0.0), at(10.0, 0.0)], [at(0.0, 1.0), at(10.0, 1.0)]), None);
    }

    #[test]
    fn ring_contains_what_is_inside() {
        assert!(contains(&SQUARE, at(5.0, 5.0)) && contains(&SQUARE, at(0.5, 9.5)));
        assert!(!contains(&SQUARE, at(-5.0, 5.0)) && !contains(&SQUARE, at(11.0, 5.0)));
    }

    #[test]
    fn nearer_part_of_a_square_is_its_half() {
        let half = nearer_part(&SQUARE, at(0.0, 5.0), at(10.0, 5.0));
        assert!(half.iter().all(|p| p.x <= 5.0) && half.len() == 4, "{half:?}");
    }

    #[test]
    fn simplified_line_keeps_its_ends_and_corners() {
        let line: Vec<Point> =
            (0..=20).map(|i| at(f64::from(i), if i < 10 { 0.0 } else { f64::from(i - 10) })).collect();
        assert_eq!(simplified(&line, 0.1), [at(0.0, 0.0), at(10.0, 0.0), at(20.0, 10.0)]);
    }

    #[test]
    fn smooth_line_goes_through_its_points() {
        let points = [at(0.0, 0.0), at(1.0, 2.0), at(3.0, 1.0), at(4.0, 4.0)];
        let line = smooth(&points, 4);
        assert_eq!((line[0], line[line.len() - 1]), (points[1], points[2]));
    }
}
