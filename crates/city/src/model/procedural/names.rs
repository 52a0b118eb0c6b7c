//! The names of the city, its areas and its roads: all invented.

use std::collections::HashMap;

use crate::streets::RoadClass;

/// The name of the city.
pub(super) const CITY: &str = "Port Linden";
pub(super) const RIVER: &str = "River Arle";
pub(super) const SEA: &str = "Linden Sound";
pub(super) const POND: &str = "Heron Pond";
/// The parks, and the streets around them.
pub(super) const PARKS: [(&str, &str); 6] = [
    ("Great Meadow", "Meadow Row"),
    ("Weir Gardens", "Weir Terrace"),
    ("Rampart Park", "Rampart Circle"),
    ("Western Common", "Common Side"),
    ("Orchard Park", "Orchard Circle"),
    ("Exchange Square", "Exchange Square"),
];
/// In the order of their places.
pub(super) const DISTRICTS: [&str; 10] = [
    "Exchange",
    "Old Harbor",
    "Starfield",
    "Northgate",
    "Mill Hill",
    "Eastshore",
    "Southbank",
    "Shipyards",
    "Westbrook",
    "Stonefields",
];

const WORDS: [&str; 120] = [
    "Acorn", "Alder", "Almond", "Anchor", "Apple", "Arch", "Ash", "Baker", "Barley", "Basin", "Beacon", "Beech",
    "Bell", "Birch", "Bishop", "Bramble", "Brewer", "Bridge", "Brook", "Candle", "Canal", "Carter", "Castle", "Cedar",
    "Chapel", "Cherry", "Clay", "Clover", "Cooper", "Copper", "Coral", "Crane", "Cypress", "Dairy", "Dove", "Elder",
    "Elm", "Falcon", "Farrier", "Fern", "Ferry", "Field", "Fig", "Finch", "Flint", "Forge", "Fountain", "Foundry",
    "Fox", "Garden", "Glass", "Glover", "Granary", "Grove", "Gull", "Harvest", "Hawthorn", "Hazel", "Heath", "Hedge",
    "Heron", "Hill", "Holly", "Honey", "Hop", "Iris", "Iron", "Ivy", "Juniper", "Kestrel", "Kiln", "Lantern", "Larch",
    "Lark", "Laurel", "Library", "Lilac", "Lime", "Lock", "Loom", "Maple", "Market", "Mason", "Meadow", "Mint", "Moss",
    "Museum", "Myrtle", "Oak", "Olive", "Opal", "Orchard", "Otter", "Paper", "Pear", "Pepper", "Pine", "Plover",
    "Plum", "Poplar", "Quarry", "Quince", "Raven", "Reed", "Robin", "Rope", "Rowan", "Saddler", "Sage", "Sail", "Salt",
    "Sorrel", "Spruce", "Swan", "Tanner", "Thistle", "Tower", "Walnut", "Weaver", "Willow",
];
const EARLIER: [&str; 4] = ["", "Upper ", "Little ", "Old "];

/// Names of roads, each used once.
#[derive(Debug, Default)]
pub(super) struct RoadNames {
    used: HashMap<RoadClass, usize>,
}

impl RoadNames {
    /// The next name of a class. `start` shifts the words, so that seeds differ.
    pub fn next(&mut self, class: RoadClass, start: usize) -> String {
        let used = self.used.entry(class).or_default();
        let number = *used;
        *used += 1;
        let kinds: &[&str] = match class {
            RoadClass::Arterial => &["Boulevard", "Road"],
            RoadClass::Avenue => &["Avenue"],
            RoadClass::Street => &["Street"],
            RoadClass::Lane => &["Lane"],
        };
        // 47 and the number of words have no common divisor: each word is used before one repeats.
        let word = WORDS[(start + 47 * number) % WORDS.len()];
        let earlier = EARLIER[number / WORDS.len() % EARLIER.len()];
        format!("{earlier}{word} {}", kinds[number % kinds.len()])
    }
}
