//! What a session asks, and when: drawn from the content by a seed. Pure.

use serde::{Deserialize, Serialize};

use super::content::{CardKind, Content, Phase, is_for};

/// What the candidate chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The cut of the question.
    pub cut: String,
    /// The length, minutes.
    pub minutes: u32,
    /// The level.
    pub level: String,
    /// What the draws follow from.
    pub seed: u64,
    /// Seconds of the session for each second of the clock: 1, more in tests.
    pub speed: u32,
}

/// What the seed has drawn. It is kept with the session, so that later content does not change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// The constraint card.
    pub constraint: String,
    /// The topics of the deep dives.
    pub dives: Vec<String>,
    /// The curveball.
    pub curveball: String,
    /// The labs of the bets: one for each deep dive, then that of the phase of failures.
    pub bets: Vec<Option<String>>,
}

/// A phase of one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPhase {
    /// The phase of the content.
    pub phase: String,
    /// The topic of a deep dive.
    pub dive: Option<String>,
    /// The title.
    pub title: String,
    /// What the candidate does.
    pub ask: String,
    /// The time that it is meant to take.
    pub seconds: u32,
    /// The cards to write.
    pub cards: Vec<CardKind>,
    /// The follow-ups that are planned.
    pub prompts: u32,
    /// The lab of the bet.
    pub bet: Option<String>,
}

/// A number that depends on the seed and a name only: the order of everything that is drawn. The function is SplitMix64's output
/// step (Steele, Lea and Flood 2014), over FNV-1a of the name.
pub fn order_of(seed: u64, name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (hash ^ seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Checks what a candidate chose.
///
/// # Errors
/// What is wrong, with the possible values.
pub fn check_setup(content: &Content, setup: &Setup) -> Result<(), (&'static str, String)> {
    let names = |names: Vec<&str>| format!("must be one of: {}", names.join(", "));
    if content.cut(&setup.cut).is_none() {
        return Err(("cut", names(content.session.cut.iter().map(|cut| cut.id.as_str()).collect())));
    }
    if content.level(&setup.level).is_none() {
        return Err(("level", names(content.session.level.iter().map(|level| level.id.as_str()).collect())));
    }
    if !content.session.lengths.contains(&setup.minutes) {
        let lengths: Vec<_> = content.session.lengths.iter().map(u32::to_string).collect();
        return Err(("minutes", names(lengths.iter().map(String::as_str).collect())));
    }
    if !(1..=SPEED_MAX).contains(&setup.speed) {
        return Err(("speed", format!("must be 1 to {SPEED_MAX}")));
    }
    Ok(())
}

/// The greatest speed: a session of an hour in four seconds.
pub const SPEED_MAX: u32 = 900;

/// Draws what a session asks.
pub fn draw(content: &Content, setup: &Setup) -> Drawn {
    let seed = setup.seed;
    let first = |names: Vec<&str>, what: &str| {
        let key = |name: &&str| order_of(seed, &format!("{what} {name}"));
        names.into_iter().min_by_key(key).unwrap_or_default().to_owned()
    };
    let constraints = content.constraints.iter().filter(|one| is_for(&one.cuts, &setup.cut));
    let curveballs = content.curveballs.iter().filter(|one| is_for(&one.cuts, &setup.cut));
    let dives = draw_dives(content, setup);
    let mut bets: Vec<Option<String>> = Vec::new();
    for dive in dives.iter().map(Some).chain([None]) {
        let fits = content.bets.iter().filter(|bet| dive.map_or(bet.failure, |dive| bet.dives.contains(dive)));
        let fresh: Vec<_> =
            fits.map(|bet| bet.lab.as_str()).filter(|lab| !bets.iter().flatten().any(|own| own == lab)).collect();
        bets.push((!fresh.is_empty()).then(|| first(fresh, "bet")));
    }
    Drawn {
        constraint: first(constraints.map(|one| one.id.as_str()).collect(), "constraint"),
        curveball: first(curveballs.map(|one| one.id.as_str()).collect(), "curveball"),
        dives,
        bets,
    }
}

/// Takes dives from the groups of the cut in turn, each group in an order by the seed.
fn draw_dives(content: &Content, setup: &Setup) -> Vec<String> {
    let wanted = content.level(&setup.level).map_or(0, |level| level.dives);
    let mut groups: Vec<Vec<&String>> = content
        .cut(&setup.cut)
        .map(|cut| cut.dives.iter().map(|group| group.iter().collect()).collect())
        .unwrap_or_default();
    for group in &mut groups {
        // The last is taken first.
        group.sort_by_key(|name| std::cmp::Reverse(order_of(setup.seed, &format!("dive {name}"))));
    }
    let mut dives = Vec::new();
    while dives.len() < wanted && groups.iter().any(|group| !group.is_empty()) {
        for group in &mut groups {
            if dives.len() < wanted {
                dives.extend(group.pop().cloned());
            }
        }
    }
    dives
}

/// The phases of a session, in order.
pub fn phases(content: &Content, setup: &Setup, drawn: &Drawn) -> Vec<PlannedPhase> {
    let at = content.session.lengths.iter().position(|length| *length == setup.minutes).unwrap_or_default();
    let mut planned = Vec::new();
    for phase in &content.session.phase {
        let seconds = phase.minutes.get(at).copied().unwrap_or_default() * 60;
        if phase.id != DIVE {
            let bet = if phase.id == FAILURE { drawn.bets.last().cloned().flatten() } else { None };
            planned.push(PlannedPhase { bet, ..plan_one(phase, seconds) });
            continue;
        }
        let count = u32::try_from(drawn.dives.len().max(1)).unwrap_or(1);
        for (index, topic) in drawn.dives.iter().enumerate() {
            let dive = content.session.dive.iter().find(|dive| dive.id == *topic);
            planned.push(PlannedPhase {
                dive: Some(topic.clone()),
                title: dive.map_or_else(|| topic.clone(), |dive| format!("{}: {}", phase.title, dive.title)),
                ask: dive.map_or_else(String::new, |dive| format!("{} {}", dive.ask, phase.ask)),
                bet: drawn.bets.get(index).cloned().flatten(),
                ..plan_one(phase, seconds / count)
            });
        }
    }
    planned
}

/// The phase of the content that is planned once for each deep dive.
pub const DIVE: &str = "dive";

/// The phase of the content that has a bet besides the deep dives.
pub const FAILURE: &str = "failure";

fn plan_one(phase: &Phase, seconds: u32) -> PlannedPhase {
    PlannedPhase {
        phase: phase.id.clone(),
        dive: None,
        title: phase.title.clone(),
        ask: phase.ask.clone(),
        seconds,
        cards: phase.cards.clone(),
        prompts: phase.prompts,
        bet: None,
    }
}
