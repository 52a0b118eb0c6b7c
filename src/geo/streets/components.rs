//! The largest part of a graph whose junctions can reach each other.

use super::graph::{Graph, Junction};

/// Returns for each junction whether it is in the largest strongly connected component; of equal ones, in the first found.
///
/// Two searches, after Sharir, M. (1981), *A strong-connectivity algorithm and its applications in data flow analysis*. O(n).
pub fn largest(graph: &Graph) -> Vec<bool> {
    let mut component = vec![usize::MAX; graph.junctions()];
    let mut sizes = Vec::new();
    for root in finished(graph).into_iter().rev() {
        if component[root as usize] != usize::MAX {
            continue;
        }
        let number = sizes.len();
        let (mut open, mut size) = (vec![root], 0);
        component[root as usize] = number;
        while let Some(here) = open.pop() {
            size += 1;
            for segment in graph.leaving(here) {
                if component[segment.to as usize] == usize::MAX {
                    component[segment.to as usize] = number;
                    open.push(segment.to);
                }
            }
        }
        sizes.push(size);
    }
    let largest = sizes.iter().enumerate().max_by_key(|(number, size)| (**size, usize::MAX - *number));
    let largest = largest.map(|(number, _)| number);
    component.into_iter().map(|number| Some(number) == largest).collect()
}

/// Returns the junctions in the order in which a depth-first search against the direction of the segments leaves them.
fn finished(graph: &Graph) -> Vec<Junction> {
    let mut seen = vec![false; graph.junctions()];
    let mut order = Vec::with_capacity(graph.junctions());
    for root in (0..).take(graph.junctions()) {
        if std::mem::replace(&mut seen[root as usize], true) {
            continue;
        }
        let mut path = vec![(root, graph.entering(root).iter())];
        while let Some((here, left)) = path.last_mut() {
            let Some(segment) = left.next() else {
                order.push(*here);
                path.pop();
                continue;
            };
            if !std::mem::replace(&mut seen[segment.from as usize], true) {
                path.push((segment.from, graph.entering(segment.from).iter()));
            }
        }
    }
    order
}
