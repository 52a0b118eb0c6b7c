//! The methods that the service does not use.

use std::collections::VecDeque;

use ridematch::dispatch::assignment::Edge;

use crate::Cycle;

/// Each trip in turn, the longest waiting first, takes the nearest driver that is left.
pub fn longest_waiting_first(cycle: &Cycle) -> Vec<Option<u32>> {
    let mut edges = cycle.edges.clone();
    edges.sort_unstable_by_key(|edge| (-cycle.skip_ms[edge.trip as usize], edge.trip, edge.eta_ms, edge.driver));
    take_in_order(cycle, &edges)
}

/// The pair with the shortest ETA among those left is matched.
pub fn closest_pair_first(cycle: &Cycle) -> Vec<Option<u32>> {
    let mut edges = cycle.edges.clone();
    edges.sort_unstable_by_key(|edge| (edge.eta_ms, edge.trip, edge.driver));
    take_in_order(cycle, &edges)
}

fn take_in_order(cycle: &Cycle, edges: &[Edge]) -> Vec<Option<u32>> {
    let mut driver_of = vec![None; cycle.skip_ms.len()];
    let mut is_taken = vec![false; cycle.drivers];
    for edge in edges {
        let driver = &mut driver_of[edge.trip as usize];
        if driver.is_none() && !is_taken[edge.driver as usize] {
            is_taken[edge.driver as usize] = true;
            *driver = Some(edge.driver);
        }
    }
    driver_of
}

/// The links of each node of the smaller side: the other node, and the ETA minus the skip cost.
struct Rows {
    links: Vec<Vec<(usize, i64)>>,
    columns: usize,
    are_trips: bool,
}

fn rows(cycle: &Cycle) -> Rows {
    let (trips, drivers) = (cycle.skip_ms.len(), cycle.drivers);
    let are_trips = trips <= drivers;
    let mut links = vec![Vec::new(); trips.min(drivers)];
    for edge in &cycle.edges {
        let (trip, driver) = (edge.trip as usize, edge.driver as usize);
        let cost = edge.eta_ms - cycle.skip_ms[trip];
        let (row, column) = if are_trips { (trip, driver) } else { (driver, trip) };
        links[row].push((column, cost));
    }
    Rows { links, columns: trips.max(drivers), are_trips }
}

impl Rows {
    fn driver_of(&self, column_of: Vec<Option<usize>>) -> Vec<Option<u32>> {
        if self.are_trips {
            return column_of.into_iter().map(|column| column.map(|column| column as u32)).collect();
        }
        let mut driver_of = vec![None; self.columns];
        for (row, column) in column_of.into_iter().enumerate() {
            column.into_iter().for_each(|column| driver_of[column] = Some(row as u32));
        }
        driver_of
    }
}

/// The auction: a row without a column bids for its best one, and raises the price by its lead over the second best plus epsilon.
///
/// Within rows · epsilon of the optimum; exact only with an epsilon below 1 / rows ms. Prices start at 0, so that free columns have
/// the price 0 at the end. Scaling of epsilon would need a reverse auction, which lowers the prices of free columns (Bertsekas and
/// Castañon 1992). Bertsekas, D. P. (1988), *The Auction Algorithm*, Annals of Operations Research 14.
pub fn auction(cycle: &Cycle, epsilon_ms: i64) -> Vec<Option<u32>> {
    let rows = rows(cycle);
    let mut price = vec![0; rows.columns];
    let mut row_of: Vec<Option<usize>> = vec![None; rows.columns];
    let mut column_of = vec![None; rows.links.len()];
    let mut queue: VecDeque<usize> = (0..rows.links.len()).collect();
    while let Some(row) = queue.pop_front() {
        let (mut best, mut second) = ((0, None), 0);
        for (column, cost) in &rows.links[row] {
            let profit = -cost - price[*column];
            if profit > best.0 {
                second = best.0;
                best = (profit, Some(*column));
            } else {
                second = second.max(profit);
            }
        }
        let (profit, Some(column)) = best else { continue };
        price[column] += profit - second + epsilon_ms;
        column_of[row] = Some(column);
        if let Some(outbid) = row_of[column].replace(row) {
            column_of[outbid] = None;
            queue.push_back(outbid);
        }
    }
    rows.driver_of(column_of)
}

/// Min-cost flow: successive shortest paths by Bellman-Ford with a queue, without prices. Ahuja, R. K., Magnanti, T. L. and Orlin,
/// J. B. (1993), *Network Flows*, chapter 9.
pub fn flow(cycle: &Cycle) -> Vec<Option<u32>> {
    let rows = rows(cycle);
    let mut row_of: Vec<Option<(usize, i64)>> = vec![None; rows.columns];
    let mut column_of: Vec<Option<usize>> = vec![None; rows.links.len()];
    for new in 0..rows.links.len() {
        let mut distance = vec![i64::MAX; rows.columns];
        let mut reached_by = vec![(0, 0); rows.columns];
        let mut is_queued = vec![false; rows.links.len()];
        let mut queue = VecDeque::from([new]);
        let (mut best, mut last_row, mut last_column) = (0, new, None);
        while let Some(row) = queue.pop_front() {
            is_queued[row] = false;
            let length = column_of[row].map_or(0, |column| match row_of[column] {
                Some((_, cost)) => distance[column] - cost,
                None => unreachable!("the column of a row has the row"),
            });
            if length < best {
                (best, last_row, last_column) = (length, row, None);
            }
            for (column, cost) in &rows.links[row] {
                let (column, length) = (*column, length + cost);
                if length >= distance[column] || column_of[row] == Some(column) {
                    continue;
                }
                (distance[column], reached_by[column]) = (length, (row, *cost));
                match row_of[column] {
                    Some((holder, _)) if !is_queued[holder] => {
                        is_queued[holder] = true;
                        queue.push_back(holder);
                    }
                    Some(_) => {}
                    None if length < best => (best, last_column) = (length, Some(column)),
                    None => {}
                }
            }
        }
        let mut next = last_column.or_else(|| column_of[last_row].take());
        while let Some(column) = next {
            let (row, cost) = reached_by[column];
            row_of[column] = Some((row, cost));
            next = column_of[row].replace(column);
        }
    }
    rows.driver_of(column_of)
}

/// The Hungarian method on the full matrix, in which a pair without an edge costs as much as staying unmatched: O(rows² · columns).
/// Kuhn, H. W. (1955), *The Hungarian Method for the Assignment Problem*, Naval Research Logistics Quarterly 2.
pub fn hungarian(cycle: &Cycle) -> Vec<Option<u32>> {
    let rows = rows(cycle);
    let mut cost = vec![vec![0; rows.columns]; rows.links.len()];
    for (row, links) in rows.links.iter().enumerate() {
        links.iter().for_each(|(column, link)| cost[row][*column] = (*link).min(0));
    }
    let column_of = hungarian_columns(&cost, rows.columns);
    let matched = column_of.into_iter().enumerate().map(|(row, column)| (cost[row][column] < 0).then_some(column));
    rows.driver_of(matched.collect())
}

fn hungarian_columns(cost: &[Vec<i64>], columns: usize) -> Vec<usize> {
    let mut of_row = vec![0; cost.len()];
    let mut of_column = vec![0; columns];
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    for new in 0..cost.len() {
        let mut slack = vec![i64::MAX; columns];
        let mut reached_from: Vec<Option<usize>> = vec![None; columns];
        let mut done = vec![false; columns];
        let (mut row, mut last) = (new, None);
        let end = loop {
            for column in (0..columns).filter(|column| !done[*column]) {
                let left = cost[row][column] - of_row[row] - of_column[column];
                if left < slack[column] {
                    (slack[column], reached_from[column]) = (left, last);
                }
            }
            let open = (0..columns).filter(|column| !done[*column]);
            let Some(next) = open.min_by_key(|column| slack[*column]) else {
                unreachable!("there are at least as many columns as rows")
            };
            let step = slack[next];
            of_row[new] += step;
            for column in 0..columns {
                match row_of[column].filter(|_| done[column]) {
                    Some(row) => (of_row[row], of_column[column]) = (of_row[row] + step, of_column[column] - step),
                    None => slack[column] -= step,
                }
            }
            done[next] = true;
            match row_of[next] {
                Some(taken_by) => (row, last) = (taken_by, Some(next)),
                None => break next,
            }
        };
        // Reassign the columns along the augmenting path; the first one goes to the new row.
        let mut column = end;
        while let Some(before) = reached_from[column] {
            row_of[column] = row_of[before];
            column = before;
        }
        row_of[column] = Some(new);
    }
    let mut column_of = vec![0; cost.len()];
    for (column, row) in row_of.into_iter().enumerate() {
        row.into_iter().for_each(|row| column_of[row] = column);
    }
    column_of
}
