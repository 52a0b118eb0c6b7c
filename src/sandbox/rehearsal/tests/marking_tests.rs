use super::*;
use crate::sandbox::rehearsal::labs::{LabResult, Labs};
use crate::sandbox::rehearsal::marking::{GateState, Marks, NumberState, ObservableState, mark, read_number};
use crate::sandbox::rehearsal::session::{CannedMarks, PlacedBet, Shown, Tick};

fn tick(observable: &str) -> Tick {
    Tick { observable: observable.to_owned(), shown: Shown::Unprompted, card: None, at_s: Some(1) }
}

/// A session in which these observables were shown at the first second.
fn marked(setup: Setup, shown: &[&str]) -> (Candidate, Marks) {
    let mut candidate = Candidate::started(setup);
    candidate.reaches_marking();
    candidate.does(SessionCommand::Mark { ticks: shown.iter().map(|id| tick(id)).collect() });
    let marks = mark(&candidate.content, &candidate.session, &[]);
    (candidate, marks)
}

fn percent(marks: &Marks, dimension: &str) -> u32 {
    marks.dimensions.iter().find(|one| one.id == dimension).and_then(|one| one.percent).expect("a dimension")
}

fn gate(marks: &Marks, id: &str) -> GateState {
    marks.gates.iter().find(|gate| gate.id == id).expect("a gate").state
}

/// All true observables of a cut.
fn all_true(cut: &str) -> Vec<String> {
    let content = content();
    let true_ones = content
        .observables
        .iter()
        .filter(|one| !one.falsehood && crate::sandbox::rehearsal::content::is_for(&one.cuts, cut));
    true_ones.map(|one| one.id.clone()).collect()
}

#[test]
fn missed_is_the_default() {
    let (_, marks) = marked(setup("ride-hailing", "senior"), &[]);
    assert!(
        marks.observables.iter().all(|one| [ObservableState::Missed, ObservableState::NotReached].contains(&one.state))
    );
    assert_eq!((marks.percent, marks.passes), (0, false));
    assert_eq!(gate(&marks, "double-charge"), GateState::NotShown);
}

#[test]
fn ticking_a_falsehood_costs() {
    let honest = ["unknown-state", "attempt-before-call", "assignment-constraint"];
    let (_, without) = marked(setup("ride-hailing", "senior"), &honest);
    let (_, with) = marked(setup("ride-hailing", "senior"), &[&honest[..], &["own-cell"]].concat());
    assert_eq!(percent(&without, "correctness") - percent(&with, "correctness"), content().marking.falsehood_cost);
    assert!(with.percent < without.percent);
}

#[test]
fn design_with_a_double_charge_does_not_pass() {
    let shown = all_true("ride-hailing");
    let shown: Vec<_> = shown.iter().map(String::as_str).collect();
    let (_, good) = marked(setup("ride-hailing", "staff"), &shown);
    assert!(good.percent >= content().marking.pass_percent && good.passes, "{}", good.percent);
    let (_, charging) = marked(setup("ride-hailing", "staff"), &[&shown[..], &["charge-then-key"]].concat());
    assert_eq!(gate(&charging, "double-charge"), GateState::Failed);
    assert_eq!(gate(&charging, "double-assignment"), GateState::Passed);
    assert!(charging.percent >= content().marking.pass_percent && !charging.passes, "{}", charging.percent);
    let unproven: Vec<_> =
        shown.iter().copied().filter(|id| !["attempt-before-call", "key-with-effect"].contains(id)).collect();
    let (_, unproven) = marked(setup("ride-hailing", "staff"), &unproven);
    assert_eq!((gate(&unproven, "double-charge"), unproven.passes), (GateState::NotShown, false));
}

#[test]
fn search_cut_has_no_gate_and_can_pass() {
    let shown = all_true("search");
    let (_, marks) = marked(setup("search", "senior"), &shown.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(marks.gates.is_empty() && marks.passes, "{}", marks.percent);
}

#[test]
fn level_weighs_breadth_against_depth() {
    let depth = [
        "unknown-state",
        "attempt-before-call",
        "assignment-constraint",
        "key-with-effect",
        "reconciles",
        "batch-against-greedy",
    ];
    let percent_at = |level| marked(setup("ride-hailing", level), &depth).1.percent;
    assert!(percent_at("mid") < percent_at("senior") && percent_at("senior") < percent_at("staff"));
}

#[test]
fn observable_of_a_deep_dive_that_was_not_drawn_is_not_missed() {
    let (candidate, marks) = marked(setup("ride-hailing", "senior"), &[]);
    for one in &marks.observables {
        let probe = &candidate.content.observable(&one.id).expect("known").probe;
        let dive = candidate.content.question(probe).and_then(|question| question.dive.clone());
        let is_drawn = dive.is_none_or(|dive| candidate.session.drawn.dives.contains(&dive));
        assert_eq!(one.state == ObservableState::Missed, is_drawn, "{}", one.id);
    }
}

#[test]
fn numbers_are_graded_by_their_range() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.goes_to("estimates");
    candidate
        .writes_fields(CardKind::Numbers, &[("reports", "12,500 /s"), ("requests", "140"), ("rides", "about 30k")]);
    candidate.reaches_marking();
    let marks = mark(&candidate.content, &candidate.session, &[]);
    let states: Vec<_> = marks.numbers.iter().map(|number| number.state).collect();
    assert_eq!(states, [NumberState::Right, NumberState::Wrong, NumberState::Near]);
    assert_eq!(marks.numbers[1].off_by, Some(7.0));
    assert_eq!(percent(&marks, "framing"), 30, "1.5 of 5 points of breadth, and no depth");
}

#[test]
fn numbers_are_read_as_people_write_them() {
    for (text, value) in [
        ("12,500", Some(12_500.0)),
        ("12.5k per second", Some(12_500.0)),
        ("2.5 million", Some(2_500_000.0)),
        ("≈ 14/s", Some(14.0)),
        ("5 MB", Some(5.0)),
        ("1 m", Some(1_000_000.0)),
        ("-3", Some(-3.0)),
        ("many", None),
        ("", None),
    ] {
        assert_eq!(read_number(text), value, "{text}");
    }
}

#[test]
fn rules_are_checked_on_the_cards() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.goes_to("api");
    candidate.writes(CardKind::Endpoints, "POST /getDriver\nPOST /v1/trips Idempotency-Key\nPOST /offers/{id}/accept");
    candidate.writes(CardKind::Tables, "busy_drivers (driver_id PRIMARY KEY)\npayments (id, state)");
    candidate.reaches_marking();
    let marks = mark(&candidate.content, &candidate.session, &[]);
    let holds: Vec<_> = marks.rules.iter().filter(|rule| rule.holds).map(|rule| rule.id.as_str()).collect();
    assert_eq!(holds, ["trip-is-a-resource", "key-named", "offer-is-answered", "unique-driver", "payments-apart"]);
}

#[test]
fn bet_is_settled_by_the_file_of_its_lab_and_open_without() {
    let folder = tempfile::tempdir().expect("a directory");
    let labs = Labs::at(Some(folder.path().to_owned()));
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.session.bets.push(PlacedBet { lab: "cell-edges".to_owned(), value: 40.0, at_s: 9 });
    let marks = |candidate: &Candidate| {
        mark(&candidate.content, &candidate.session, &labs.result("cell-edges").into_iter().collect::<Vec<LabResult>>())
    };
    let open = marks(&candidate).bets;
    assert_eq!((open[0].is_right, open[0].command.as_str()), (None, "cargo lab run cell-edges"));
    let write = |text: &str| std::fs::write(folder.path().join("cell-edges.json"), text).expect("written");
    write("{");
    assert_eq!(marks(&candidate).bets[0].is_right, None, "a damaged file settles nothing");
    write(
        r#"{"lab": "cell-edges", "commit": "0123456789abcdef", "seed": 1, "answer": {"value": 45.0331475, "unit": "of 100 riders", "text": ""}}"#,
    );
    let settled = marks(&candidate).bets;
    let shown = settled[0].result.as_ref().map(|result| format!("{} {}", result.answer.value, result.commit));
    assert_eq!((settled[0].is_right, shown.as_deref()), (Some(true), Some("45 0123456789ab")));
    candidate.session.bets[0].value = 4.0;
    assert_eq!(marks(&candidate).bets[0].is_right, Some(false));
}

#[test]
fn canned_answers_show_one_s_bias() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    while candidate.session.stage == Stage::Interview {
        candidate.does(SessionCommand::Next);
    }
    for answer in candidate.content.canned.clone() {
        candidate.does(SessionCommand::MarkCanned(CannedMarks { id: answer.id, ticks: answer.offered, passes: true }));
    }
    let marks = mark(&candidate.content, &candidate.session, &[]).canned;
    assert!(marks.iter().all(|one| !one.too_many.is_empty() && one.too_few.is_empty()));
    assert_eq!(marks.iter().filter(|one| one.passes == one.said).count(), 1);
}
