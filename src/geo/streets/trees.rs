//! The fastest drives to a junction from all others: a backward search that stops, is kept, and continues when more is asked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::graph::{Graph, Junction, Segment};

/// The most memory of the kept searches in bytes, checked when another one begins. Those in use are not dropped. Those toward every junction of Manhattan (4,197) fit.
const KEPT_BYTES_MAX: usize = 96 << 20;

/// The largest graph whose searches have a place for each junction from the start. Those of a larger one have a table of the junctions
/// reached.
const DENSE_JUNCTIONS_MAX: usize = 1 << 16;

/// The memory of a junction in a table, in bytes: key, value and the free places.
const TABLE_BYTES: usize = 16;

/// The time from a junction that was not reached.
const UNSEEN_MS: u32 = u32::MAX;

/// The search toward one junction, the root.
///
/// Dijkstra's algorithm against the direction of the segments: E. W. Dijkstra (1959), *A note on two problems in connexion with graphs*,
/// Numerische Mathematik 1. The times not above the first of `open` are final.
#[derive(Debug)]
pub struct Tree {
    root: Junction,
    times: Times,
    open: BinaryHeap<Reverse<(u32, Junction)>>,
}

/// The shortest times to the root that are known, in milliseconds.
#[derive(Debug)]
enum Times {
    Dense(Vec<u32>),
    Table(HashMap<Junction, u32>),
}

impl Times {
    fn of(&self, junction: Junction) -> u32 {
        match self {
            Self::Dense(times) => times[junction as usize],
            Self::Table(times) => times.get(&junction).copied().unwrap_or(UNSEEN_MS),
        }
    }

    fn set(&mut self, junction: Junction, ms: u32) {
        match self {
            Self::Dense(times) => times[junction as usize] = ms,
            Self::Table(times) => drop(times.insert(junction, ms)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Dense(times) => size_of_val(times.as_slice()),
            Self::Table(times) => times.capacity() * TABLE_BYTES,
        }
    }
}

impl Tree {
    fn new(root: Junction, junctions: usize) -> Self {
        let mut times = if junctions <= DENSE_JUNCTIONS_MAX {
            Times::Dense(vec![UNSEEN_MS; junctions])
        } else {
            Times::Table(HashMap::new())
        };
        times.set(root, 0);
        Self { root, times, open: BinaryHeap::from([Reverse((0, root))]) }
    }

    /// Returns the time from a junction to the root in milliseconds; `None` if it is longer than `max_ms`, or if there is no way.
    /// Searches only as far as it must.
    pub fn ms_from(&mut self, graph: &Graph, junction: Junction, max_ms: u32) -> Option<u32> {
        loop {
            let known_ms = self.times.of(junction);
            let next_ms = self.open.peek().map_or(UNSEEN_MS, |Reverse((ms, _))| *ms);
            if known_ms <= next_ms {
                return Some(known_ms).filter(|ms| *ms < UNSEEN_MS && *ms <= max_ms);
            }
            if next_ms > max_ms {
                return None;
            }
            self.step(graph);
        }
    }

    /// Makes one more time final.
    fn step(&mut self, graph: &Graph) {
        let Some(Reverse((spent_ms, here))) = self.open.pop() else { return };
        if spent_ms > self.times.of(here) {
            return;
        }
        for segment in graph.entering(here) {
            let ms = spent_ms.saturating_add(segment.ms);
            if ms < self.times.of(segment.from) {
                self.times.set(segment.from, ms);
                self.open.push(Reverse((ms, segment.from)));
            }
        }
        if self.open.is_empty() {
            self.open.shrink_to_fit();
        }
    }

    /// Returns the length in meters of a fastest drive from a junction whose time is known: each of its segments takes what the times of
    /// its ends differ by.
    pub fn meters_from(&self, graph: &Graph, junction: Junction) -> f64 {
        self.segments_from(graph, junction).map(|segment| segment.length_m).sum()
    }

    /// Returns the segments of a fastest drive from a junction whose time is known, in driving order.
    pub fn segments_from<'a>(&'a self, graph: &'a Graph, junction: Junction) -> impl Iterator<Item = &'a Segment> {
        let mut here = junction;
        std::iter::from_fn(move || {
            if here == self.root {
                return None;
            }
            let ms = self.times.of(here);
            let is_fastest = |segment: &&Segment| self.times.of(segment.to).checked_add(segment.ms) == Some(ms);
            let next = graph.leaving(here).iter().find(is_fastest)?;
            here = next.to;
            Some(next)
        })
    }

    fn bytes(&self) -> usize {
        self.times.bytes() + self.open.capacity() * size_of::<Reverse<(u32, Junction)>>()
    }
}

/// A kept search. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SharedTree(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    tree: Mutex<Tree>,
    /// The memory of the tree when it was used last, readable while the tree is in use.
    bytes: AtomicUsize,
}

/// A tree in use by the current thread.
#[derive(Debug)]
pub struct TreeGuard<'a> {
    tree: MutexGuard<'a, Tree>,
    bytes: &'a AtomicUsize,
}

impl SharedTree {
    /// Waits for the tree. It is held for one answer: microseconds, and at most one search of the whole graph.
    pub fn lock(&self) -> TreeGuard<'_> {
        let tree = self.0.tree.lock().unwrap_or_else(PoisonError::into_inner);
        TreeGuard { tree, bytes: &self.0.bytes }
    }
}

impl std::ops::Deref for TreeGuard<'_> {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

impl std::ops::DerefMut for TreeGuard<'_> {
    fn deref_mut(&mut self) -> &mut Tree {
        &mut self.tree
    }
}

impl Drop for TreeGuard<'_> {
    fn drop(&mut self) {
        self.bytes.store(self.tree.bytes(), Ordering::Relaxed);
    }
}

/// The kept searches, by their root. Those not used for the longest time are dropped when the memory is full.
#[derive(Debug)]
pub struct Trees {
    junctions: usize,
    kept: Mutex<KeptTrees>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct KeptTrees {
    /// With the number of the last use.
    by_root: HashMap<Junction, (SharedTree, u64)>,
    uses: u64,
}

impl Trees {
    /// Keeps nothing yet.
    pub fn new(junctions: usize) -> Self {
        Self { junctions, kept: Mutex::default(), bytes_max: KEPT_BYTES_MAX }
    }

    /// Returns the search toward a junction, kept or new.
    pub fn to(&self, root: Junction) -> SharedTree {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let uses = kept.uses;
        if let Some((tree, used)) = kept.by_root.get_mut(&root) {
            *used = uses;
            return tree.clone();
        }
        let tree = Tree::new(root, self.junctions);
        let bytes = AtomicUsize::new(tree.bytes());
        let tree = SharedTree(Arc::new(Kept { tree: Mutex::new(tree), bytes }));
        kept.by_root.insert(root, (tree.clone(), uses));
        kept.drop_unused(self.bytes_max);
        tree
    }
}

impl KeptTrees {
    fn bytes(&self) -> usize {
        self.by_root.values().map(|(tree, _)| tree.0.bytes.load(Ordering::Relaxed)).sum()
    }

    /// Drops a quarter of the trees, those used longest ago, as long as they need too much memory.
    fn drop_unused(&mut self, bytes_max: usize) {
        while self.bytes() > bytes_max && self.by_root.len() > 1 {
            let mut uses: Vec<u64> = self.by_root.values().map(|(_, used)| *used).collect();
            uses.sort_unstable();
            let oldest_kept = uses[uses.len().div_ceil(4)];
            self.by_root.retain(|_, (_, used)| *used >= oldest_kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_used_longest_ago_are_dropped_when_the_memory_is_full() {
        let trees = Trees { bytes_max: 10 * 1_000 * size_of::<u32>(), ..Trees::new(1_000) };
        let first = trees.to(0);
        for root in 1..100 {
            trees.to(root);
            trees.to(1);
        }
        let kept = trees.kept.lock().expect("not poisoned");
        assert!(kept.bytes() <= trees.bytes_max, "{} bytes", kept.bytes());
        assert!(kept.by_root.contains_key(&1) && kept.by_root.contains_key(&99) && !kept.by_root.contains_key(&0));
        drop(first);
    }
}
