//! The assignment of a match cycle: which driver each trip is offered to, so that the total cost is the smallest. Pure.
//!
//! A matched trip costs the drive to its pickup, an unmatched one its skip cost. Drivers are scarce or trips are; most pairs are too
//! far apart to be an option. So the method is made for sparse and rectangular problems: shortest augmenting paths from the
//! smaller side. Jonker, R. and Volgenant, A. (1987), *A Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment
//! Problems*, Computing 38. See `docs/decisions/batched-assignment.md`.
//!
//! In the terms of that paper, the nodes of the smaller side are rows and those of the larger side are columns. A link costs the ETA
//! minus the skip cost: what the total changes by if the pair is matched. A row may also stay unmatched, which costs 0. Rows are added
//! one by one. For each, the cheapest change of the matching is a path: the new row takes a column, the row that had it takes
//! another one, and so on, until a row takes a free column or stays unmatched. Prices of the columns keep every step at a length
//! of at least 0, so that Dijkstra's algorithm finds the shortest path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The maximum ETA and skip cost: 2^40 ms, 34 years. Values outside `0..=COST_MAX_MS` count as the nearest one inside.
///
/// Prices and path lengths stay within a small multiple of it, whatever the number of nodes: staying unmatched limits both.
pub const COST_MAX_MS: i64 = 1 << 40;

/// A trip and a driver who can be offered it. Both are indexes into the trips and drivers of the match cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The index of the trip.
    pub trip: u32,
    /// The index of the driver.
    pub driver: u32,
    /// The estimated drive from the driver to the pickup, in milliseconds.
    pub eta_ms: i64,
}

/// The parameters of the skip cost.
#[derive(Debug, Clone, Copy)]
pub struct SkipCost {
    /// The largest ETA of an edge, in milliseconds.
    pub eta_max_ms: i64,
    /// The longest time, in milliseconds, that a trip can have waited more than one that is served by a driver it has an edge to.
    pub passed_over_max_ms: i64,
}

impl SkipCost {
    /// Returns the skip cost of a trip: `S + w · waited`, with `S = eta_max + 1` and `w = eta_max / passed_over_max`.
    ///
    /// `S` exceeds every ETA, so that a trip takes a free driver even if it is new. `w` makes the bound hold: giving the driver to a
    /// trip that has waited longer by more than `passed_over_max` would save more than `eta_max`, and cost at most that in ETA.
    pub fn of(&self, waited_ms: i64) -> i64 {
        let growth_ms = self.eta_max_ms.saturating_mul(waited_ms.max(0)) / self.passed_over_max_ms.max(1);
        self.eta_max_ms.saturating_add(1).saturating_add(growth_ms)
    }
}

/// Returns the driver of each trip, or `None` for a trip that stays unmatched: the smallest sum of `eta_ms` of the matched pairs and
/// `skip_ms` of the unmatched trips.
///
/// `skip_ms` has a cost for each trip. The result is an exact optimum; it depends on the set of edges, not on their order, and indexes
/// decide between equal optima. A pair whose ETA is not below the skip cost stays unmatched. Edges with an index out of range are
/// ignored; of several edges between one trip and one driver the shortest counts.
///
/// For `n` nodes on the smaller side and `m` edges: at most `n` searches, each O(m log m) and usually much less.
pub fn assign(skip_ms: &[i64], drivers: usize, edges: &[Edge]) -> Vec<Option<u32>> {
    let trips = skip_ms.len();
    let rows_are_trips = trips <= drivers;
    let (rows, columns) = if rows_are_trips { (trips, drivers) } else { (drivers, trips) };
    let mut links = vec![Vec::new(); rows];
    for edge in edges.iter().filter(|edge| (edge.driver as usize) < drivers) {
        let Some(skip_ms) = skip_ms.get(edge.trip as usize) else { continue };
        let cost = edge.eta_ms.clamp(0, COST_MAX_MS) - (*skip_ms).clamp(0, COST_MAX_MS);
        if cost < 0 {
            let (row, column) = if rows_are_trips { (edge.trip, edge.driver) } else { (edge.driver, edge.trip) };
            links[row as usize].push(Link { cost, column });
        }
    }
    links.iter_mut().for_each(|links| links.sort_unstable());
    let matching = Matching::cheapest(&links, columns);
    if rows_are_trips {
        matching.column_of
    } else {
        matching.holder_of.iter().map(|holder| holder.map(|holder| holder.row as u32)).collect()
    }
}

/// A column that a row can take, and the cost. Ordered by cost, then by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    cost: i64,
    column: u32,
}

/// The row that a column is matched with, and the cost of the pair.
#[derive(Debug, Clone, Copy)]
struct Holder {
    row: usize,
    cost: i64,
}

/// The last node of an augmenting path.
#[derive(Debug, Clone, Copy)]
enum PathEnd {
    /// The row stays unmatched.
    Unmatched(usize),
    /// The column was free.
    Free(u32),
}

/// The cheapest matching of the rows added so far, and the working memory of the path search.
///
/// For each row, the cost plus price of its own column is at most 0 and at most that of its other columns: with prices of at least 0,
/// and 0 for free columns, this proves the optimum (complementary slackness).
struct Matching<'a> {
    links: &'a [Vec<Link>],
    column_of: Vec<Option<u32>>,
    holder_of: Vec<Option<Holder>>,
    price: Vec<i64>,
    /// The length of the shortest path found to each column: [`UNREACHED`] between searches.
    distance: Vec<i64>,
    /// The pair that the last step of that path would add.
    reached_by: Vec<Holder>,
    /// The columns with a distance.
    reached: Vec<u32>,
    /// Matched columns by distance, then by index. A column that was reached again by a shorter path has an obsolete entry.
    queue: BinaryHeap<Reverse<(i64, u32)>>,
}

const UNREACHED: i64 = i64::MAX;

impl<'a> Matching<'a> {
    /// `links` has the columns that each row can take, cheapest first.
    fn cheapest(links: &'a [Vec<Link>], columns: usize) -> Self {
        let mut matching = Self {
            links,
            column_of: vec![None; links.len()],
            holder_of: vec![None; columns],
            price: vec![0; columns],
            distance: vec![UNREACHED; columns],
            reached_by: vec![Holder { row: 0, cost: 0 }; columns],
            reached: Vec::new(),
            queue: BinaryHeap::new(),
        };
        for row in 0..links.len() {
            matching.add(row);
        }
        matching
    }

    /// Adds a row along the shortest augmenting path. Of two equal paths, the one found first is taken.
    fn add(&mut self, row: usize) {
        let (length, end) = self.shortest_path(row);
        // The columns that are nearer than the end become more expensive by the difference: all steps of the path get the length 0.
        for column in self.reached.drain(..) {
            let distance = std::mem::replace(&mut self.distance[column as usize], UNREACHED);
            self.price[column as usize] += (length - distance).max(0);
        }
        self.queue.clear();
        let mut next = match end {
            PathEnd::Unmatched(row) => self.column_of[row].take(),
            PathEnd::Free(column) => Some(column),
        };
        // From the end to the new row: each row gets the column that the path reached from it, and leaves its own to the row before.
        while let Some(column) = next {
            let holder = self.reached_by[column as usize];
            self.holder_of[column as usize] = Some(holder);
            next = self.column_of[holder.row].replace(column);
        }
    }

    /// Finds the shortest path from a new row to a row that stays unmatched or to a free column.
    fn shortest_path(&mut self, new: usize) -> (i64, PathEnd) {
        let mut best = (0, PathEnd::Unmatched(new));
        self.reach_from(new, 0, &mut best);
        while let Some(Reverse((distance, column))) = self.queue.pop() {
            if distance >= best.0 {
                break;
            }
            let Some(holder) = self.holder_of[column as usize] else { unreachable!("only matched columns are queued") };
            if distance == self.distance[column as usize] {
                let without_column = distance - holder.cost - self.price[column as usize];
                if without_column < best.0 {
                    best = (without_column, PathEnd::Unmatched(holder.row));
                }
                self.reach_from(holder.row, without_column, &mut best);
            }
        }
        best
    }

    /// Extends the path that ends at a row by each of the row's columns, while that can be shorter than the best complete path.
    ///
    /// `length` is the length of the path up to the row, with the row's own column given up.
    fn reach_from(&mut self, row: usize, length: i64, best: &mut (i64, PathEnd)) {
        for link in &self.links[row] {
            let column = link.column as usize;
            if length + link.cost >= best.0 {
                break; // Prices are at least 0, and the links that follow cost at least as much.
            }
            let distance = length + link.cost + self.price[column];
            if distance >= best.0 || distance >= self.distance[column] {
                continue;
            }
            if self.distance[column] == UNREACHED {
                self.reached.push(link.column);
            }
            self.distance[column] = distance;
            self.reached_by[column] = Holder { row, cost: link.cost };
            match self.holder_of[column] {
                Some(_) => self.queue.push(Reverse((distance, link.column))),
                None => *best = (distance, PathEnd::Free(link.column)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
