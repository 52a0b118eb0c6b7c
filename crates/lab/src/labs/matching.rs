//! The assignment of riders to cars with the smallest sum of costs.

/// Returns the column of each row of a cost matrix, so that the sum is the smallest. There are at least as many columns as rows.
///
/// The Hungarian method with shortest augmenting paths: O(rows² · columns). Kuhn, H. W. (1955), *The Hungarian Method for the
/// Assignment Problem*, Naval Research Logistics Quarterly 2. The service takes a sparse graph (src/dispatch/assignment.rs).
pub(super) fn assign(cost: &[Vec<f64>]) -> Vec<usize> {
    let columns = cost.first().map_or(0, Vec::len);
    let mut of_row = vec![0.0; cost.len()];
    let mut of_column = vec![0.0; columns];
    let mut row_at: Vec<Option<usize>> = vec![None; columns];
    for new in 0..cost.len() {
        let mut slack = vec![f64::INFINITY; columns];
        let mut reached_from: Vec<Option<usize>> = vec![None; columns];
        let mut is_done = vec![false; columns];
        let (mut row, mut last) = (new, None);
        let end = loop {
            let open = |is_done: &[bool]| (0..columns).filter(|column| !is_done[*column]).collect::<Vec<_>>();
            let open = open(&is_done);
            for column in &open {
                let left = cost[row][*column] - of_row[row] - of_column[*column];
                if left < slack[*column] {
                    (slack[*column], reached_from[*column]) = (left, last);
                }
            }
            let next = open.into_iter().min_by(|a, b| slack[*a].total_cmp(&slack[*b]));
            let Some(next) = next else { unreachable!("there are at least as many columns as rows") };
            let step = slack[next];
            of_row[new] += step;
            for column in 0..columns {
                match row_at[column].filter(|_| is_done[column]) {
                    Some(row) => {
                        of_row[row] += step;
                        of_column[column] -= step;
                    }
                    None => slack[column] -= step,
                }
            }
            is_done[next] = true;
            match row_at[next] {
                Some(taken_by) => (row, last) = (taken_by, Some(next)),
                None => break next,
            }
        };
        // Reassigns the columns along the path; the first one goes to the new row.
        let mut column = end;
        while let Some(before) = reached_from[column] {
            row_at[column] = row_at[before];
            column = before;
        }
        row_at[column] = Some(new);
    }
    let mut column_of = vec![0; cost.len()];
    for (column, row) in row_at.into_iter().enumerate() {
        row.into_iter().for_each(|row| column_of[row] = column);
    }
    column_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    /// The smallest sum by trying every order.
    fn by_trial(cost: &[Vec<f64>], row: usize, is_taken: &mut [bool]) -> f64 {
        if row == cost.len() {
            return 0.0;
        }
        let mut best = f64::INFINITY;
        for column in 0..is_taken.len() {
            if !is_taken[column] {
                is_taken[column] = true;
                best = best.min(cost[row][column] + by_trial(cost, row + 1, is_taken));
                is_taken[column] = false;
            }
        }
        best
    }

    #[test]
    fn sum_is_the_smallest_of_all_orders() {
        let mut rng = random::generator(1, "matching", 0);
        for (rows, columns) in [(1, 1), (1, 5), (3, 3), (4, 6), (5, 5)] {
            for _ in 0..50 {
                let cost: Vec<Vec<f64>> = (0..rows)
                    .map(|_| (0..columns).map(|_| (random::unit(&mut rng) * 10.0).round()).collect())
                    .collect();
                let chosen = assign(&cost);
                let sum: f64 = chosen.iter().enumerate().map(|(row, column)| cost[row][*column]).sum();
                assert!((sum - by_trial(&cost, 0, &mut vec![false; columns])).abs() < 1e-9, "{cost:?} {chosen:?}");
                let mut columns_used = chosen.clone();
                columns_used.sort_unstable();
                columns_used.dedup();
                assert_eq!(columns_used.len(), rows);
            }
        }
        assert!(assign(&[]).is_empty());
    }
}
