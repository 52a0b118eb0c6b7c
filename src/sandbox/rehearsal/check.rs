//! What is wrong with the content: a test expects nothing. Pure.

use std::collections::BTreeSet;

use super::content::{CardKind, Content, is_for};
use super::schedule::DIVE;
use super::session::COMMUNICATION_MAX;

/// The most observables.
const OBSERVABLES_MAX: usize = 24;

/// The most curveballs of a cut: a partner uses each with a digit.
const CURVEBALLS_MAX: usize = 9;

/// The least number of follow-ups.
const QUESTIONS_MIN: usize = 60;

/// Returns what is wrong, a sentence each.
pub fn problems(content: &Content) -> Vec<String> {
    let found = [
        names(content),
        references(content),
        references_of_cuts_and_marks(content),
        times(content),
        counts(content),
        orphans(content),
        partner(content),
    ];
    found.concat()
}

/// Names that occur twice.
fn names(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut once = |what: &str, names: Vec<&String>| {
        let mut known = BTreeSet::new();
        found.extend(
            names.into_iter().filter(|name| !known.insert(*name)).map(|name| format!("{what} `{name}` occurs twice")),
        );
    };
    once("question", content.questions.iter().map(|one| &one.id).collect());
    once("observable", content.observables.iter().map(|one| &one.id).collect());
    once("constraint", content.constraints.iter().map(|one| &one.id).collect());
    once("curveball", content.curveballs.iter().map(|one| &one.id).collect());
    once("bet", content.bets.iter().map(|one| &one.lab).collect());
    once("estimate", content.estimates.iter().map(|one| &one.id).collect());
    once("rule", content.rules.iter().map(|one| &one.id).collect());
    once("canned answer", content.canned.iter().map(|one| &one.id).collect());
    found
}

/// Names that nothing has.
fn references(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |exists: bool, what: String| found.extend((!exists).then_some(what));
    let is_phase = |id: &String| content.session.phase.iter().any(|phase| phase.id == *id);
    let is_dive = |id: &String| content.session.dive.iter().any(|dive| dive.id == *id);
    let is_dimension = |id: &String| content.marking.dimension.iter().any(|dimension| dimension.id == *id);
    for question in &content.questions {
        let id = &question.id;
        expect(is_phase(&question.phase), format!("question `{id}`: no phase `{}`", question.phase));
        expect(
            question.dive.is_some() == (question.phase == DIVE),
            format!("question `{id}`: a deep dive, and only that, has a `dive`"),
        );
        expect(question.dive.iter().all(is_dive), format!("question `{id}`: its deep dive does not exist"));
        expect((1..=3).contains(&question.depth), format!("question `{id}`: depth must be 1 to 3"));
        expect(!question.links.is_empty(), format!("question `{id}` has no link"));
        expect(
            question.lab.as_ref().is_none_or(|lab| content.bet(lab).is_some()),
            format!("question `{id}`: no bet has its lab"),
        );
        let words = question.when.iter().chain(&question.unless);
        expect(
            words.clone().all(|word| word.to_lowercase() == *word),
            format!("question `{id}`: words must be in lower case"),
        );
    }
    for observable in &content.observables {
        let id = &observable.id;
        expect(is_phase(&observable.phase), format!("observable `{id}`: no phase `{}`", observable.phase));
        expect(
            is_dimension(&observable.dimension),
            format!("observable `{id}`: no dimension `{}`", observable.dimension),
        );
        let probe = content.question(&observable.probe);
        expect(probe.is_some(), format!("observable `{id}`: no question `{}`", observable.probe));
        let cuts = content.session.cut.iter().filter(|cut| is_for(&observable.cuts, &cut.id));
        let is_asked = |cut: &str| probe.is_none_or(|probe| is_for(&probe.cuts, cut));
        expect(
            cuts.clone().all(|cut| is_asked(&cut.id)),
            format!("observable `{id}`: its question is not asked in all of its cuts"),
        );
    }
    found
}

/// Names in cuts, canned answers, gates and rules that nothing has.
fn references_of_cuts_and_marks(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |exists: bool, what: String| found.extend((!exists).then_some(what));
    let is_dive = |id: &String| content.session.dive.iter().any(|dive| dive.id == *id);
    let is_observable = |id: &String| content.observable(id).is_some();
    for cut in &content.session.cut {
        expect(cut.dives.iter().flatten().all(is_dive), format!("cut `{}`: a deep dive does not exist", cut.id));
        let is_estimate = |id: &String| content.estimate(id).is_some();
        expect(cut.estimates.iter().all(is_estimate), format!("cut `{}`: an estimate does not exist", cut.id));
    }
    for answer in &content.canned {
        let ids = answer.offered.iter().chain(&answer.shows);
        expect(ids.clone().all(is_observable), format!("canned answer `{}`: an observable does not exist", answer.id));
        expect(
            answer.shows.iter().all(|id| answer.offered.contains(id)),
            format!("canned answer `{}` shows what is not offered", answer.id),
        );
    }
    for gate in &content.marking.gate {
        let is_false = |id: &String| content.observable(id).is_some_and(|observable| observable.falsehood);
        expect(
            gate.fails_on.iter().all(is_false),
            format!("gate `{}` fails on something that is no falsehood", gate.id),
        );
        let is_true = |id: &String| content.observable(id).is_some_and(|observable| !observable.falsehood);
        expect(
            gate.requires_any.iter().all(is_true),
            format!("gate `{}` requires a falsehood, or nothing that exists", gate.id),
        );
    }
    for rule in &content.rules {
        let is_card = [CardKind::Endpoints, CardKind::Tables].contains(&rule.kind);
        expect(is_card, format!("rule `{}` must be about endpoints or tables", rule.id));
    }
    found
}

/// Phases that do not add up, or ask for more than their time.
fn times(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    for (at, length) in content.session.lengths.iter().enumerate() {
        let minutes = |phase: &super::content::Phase| phase.minutes.get(at).copied().unwrap_or_default();
        let sum: u32 = content.session.phase.iter().map(minutes).sum();
        if sum != *length {
            found.push(format!("the phases of {length} minutes take {sum}"));
        }
        for (phase, level) in
            content.session.phase.iter().flat_map(|phase| content.session.level.iter().map(move |level| (phase, level)))
        {
            let parts = if phase.id == DIVE { u32::try_from(level.dives).unwrap_or(1).max(1) } else { 1 };
            let answer_s = content
                .session
                .answer_s
                .get(usize::from(level.depth_max).saturating_sub(1))
                .copied()
                .unwrap_or_default();
            let (needed, has) = (phase.writing_s + phase.prompts * answer_s, minutes(phase) * 60 / parts);
            if needed > has {
                found.push(format!("`{}` at {}, {length} minutes: {needed} s of work in {has} s", phase.id, level.id));
            }
        }
    }
    found
}

/// Too few, or too many.
fn counts(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: String| found.extend((!holds).then_some(what));
    let falsehoods = content.observables.iter().filter(|one| one.falsehood).count();
    expect(content.questions.len() >= QUESTIONS_MIN, format!("there are {} questions", content.questions.len()));
    expect(
        content.observables.len() <= OBSERVABLES_MAX,
        format!("there are {} observables", content.observables.len()),
    );
    expect(falsehoods * 4 >= content.observables.len(), format!("only {falsehoods} observables are falsehoods"));
    let verdicts: BTreeSet<_> = content.canned.iter().map(|answer| answer.passes).collect();
    expect(verdicts.len() == 2, "one canned answer must pass, and one must not".to_owned());
    for level in &content.session.level {
        expect(level.breadth + level.depth == 100, format!("the weights of `{}` are not 100", level.id));
        for cut in &content.session.cut {
            let dives = cut.dives.iter().map(Vec::len).sum::<usize>();
            expect(dives >= level.dives, format!("cut `{}` has too few deep dives for `{}`", cut.id, level.id));
        }
    }
    for cut in &content.session.cut {
        let has = |cuts: &[String]| is_for(cuts, &cut.id);
        expect(cut.estimates.len() == 3, format!("cut `{}` must ask three numbers", cut.id));
        expect(content.constraints.iter().any(|one| has(&one.cuts)), format!("cut `{}` has no constraint", cut.id));
        let curveballs = content.curveballs.iter().filter(|one| has(&one.cuts)).count();
        expect((1..=CURVEBALLS_MAX).contains(&curveballs), format!("cut `{}` has {curveballs} curveballs", cut.id));
    }
    let days: Vec<_> = content.plan.iter().map(|day| day.day).collect();
    expect(days == (1..=14).collect::<Vec<_>>(), format!("the plan has the days {days:?}"));
    found
}

/// Questions that no session asks: of a deep dive that their cuts do not have, or deeper than every level.
fn orphans(content: &Content) -> Vec<String> {
    let depth_max = content.session.level.iter().map(|level| level.depth_max).max().unwrap_or_default();
    let is_asked = |question: &super::content::Question, cut: &super::content::Cut| {
        is_for(&question.cuts, &cut.id)
            && question.dive.as_ref().is_none_or(|dive| cut.dives.iter().flatten().any(|own| own == dive))
    };
    let is_orphan = |question: &&super::content::Question| {
        question.depth > depth_max || !content.session.cut.iter().any(|cut| is_asked(question, cut))
    };
    content
        .questions
        .iter()
        .filter(is_orphan)
        .map(|question| format!("no session asks question `{}`", question.id))
        .collect()
}

/// What a partner reads: silences in order, and the points of communication.
fn partner(content: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| found.extend((!holds).then(|| what.to_owned()));
    let partner = &content.partner;
    let seconds: Vec<_> = partner.silence.iter().map(|silence| silence.after_s).collect();
    expect(seconds.first() == Some(&0), "the silences of a partner must begin at 0 s");
    expect(seconds.is_sorted_by(|a, b| a < b), "the silences of a partner must be in order");
    let points: Vec<_> = partner.communication.iter().map(|level| level.points).collect();
    expect(points == (1..=COMMUNICATION_MAX).collect::<Vec<_>>(), "communication must have the points 1 to 4");
    expect(!partner.briefing.is_empty(), "a partner has nothing to read before the clock starts");
    found
}
