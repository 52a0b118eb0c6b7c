use super::*;
use crate::sandbox::rehearsal::prompts::{self, PROMPTS_MAX};
use crate::sandbox::rehearsal::schedule::{check_setup, draw, phases};
use crate::sandbox::rehearsal::session::{CannedMarks, INTERRUPTION_S, Refused, Shown, Tick};
use crate::sandbox::rehearsal::view::view;

#[test]
fn same_seed_draws_the_same_session_and_others_differ() {
    let content = content();
    let drawn = |seed| draw(&content, &Setup { seed, ..setup("ride-hailing", "senior") });
    assert_eq!(drawn(3), drawn(3));
    let different: std::collections::BTreeSet<_> = (0..50).map(|seed| format!("{:?}", drawn(seed))).collect();
    assert!(different.len() > 25, "{} different sessions of 50 seeds", different.len());
    for seed in 0..50 {
        let drawn = drawn(seed);
        assert_eq!(drawn.dives.len(), 2);
        assert!(["assignment", "payments", "unknown"].contains(&drawn.dives[0].as_str()), "{drawn:?}");
        assert!(["nearest", "positions", "policy"].contains(&drawn.dives[1].as_str()), "{drawn:?}");
        assert_eq!(drawn.bets.len(), 3);
    }
}

#[test]
fn phases_take_the_whole_time_at_every_length_and_level() {
    let content = content();
    for minutes in content.session.lengths.clone() {
        for level in ["mid", "senior", "staff"] {
            for cut in ["ride-hailing", "payments", "search"] {
                let setup = Setup { minutes, ..setup(cut, level) };
                check_setup(&content, &setup).expect("valid");
                let planned = phases(&content, &setup, &draw(&content, &setup));
                let seconds: u32 = planned.iter().map(|phase| phase.seconds).sum();
                assert_eq!(seconds, minutes * 60, "{minutes} {level} {cut}");
                let dives = planned.iter().filter(|phase| phase.dive.is_some()).count();
                assert_eq!(dives, if level == "staff" { 3 } else { 2 });
            }
        }
    }
}

#[test]
fn invalid_setup_names_the_field() {
    let content = content();
    let field = |setup: Setup| check_setup(&content, &setup).expect_err("invalid").0;
    assert_eq!(field(setup("cooking", "mid")), "cut");
    assert_eq!(field(setup("search", "boss")), "level");
    assert_eq!(field(Setup { minutes: 44, ..setup("search", "mid") }), "minutes");
    assert_eq!(field(Setup { speed: 0, ..setup("search", "mid") }), "speed");
}

#[test]
fn no_follow_up_before_the_cards_are_locked() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    assert!(matches!(candidate.is_refused(SessionCommand::Ask), Refused::State(why) if why.contains("Lock the cards")));
    let fields = BTreeMap::from([("text".to_owned(), "rides".to_owned())]);
    candidate.does(SessionCommand::Draft { kind: CardKind::Requirements, fields });
    candidate.is_refused(SessionCommand::Ask);
    candidate.does(SessionCommand::Lock { kind: CardKind::Requirements });
    candidate.does(SessionCommand::Ask);
    assert_eq!(candidate.session.prompts.len(), 1);
}

#[test]
fn locked_card_does_not_change() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.writes(CardKind::Requirements, "first");
    let fields = BTreeMap::from([("text".to_owned(), "second".to_owned())]);
    candidate.is_refused(SessionCommand::Draft { kind: CardKind::Requirements, fields });
    candidate.is_refused(SessionCommand::Lock { kind: CardKind::Requirements });
    assert_eq!(candidate.session.cards[0].fields["text"], "first");
}

#[test]
fn empty_card_is_not_locked_and_another_phase_s_card_is_refused() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.is_refused(SessionCommand::Lock { kind: CardKind::Requirements });
    let blank = BTreeMap::from([("text".to_owned(), "  ".to_owned())]);
    candidate.does(SessionCommand::Draft { kind: CardKind::Requirements, fields: blank.clone() });
    candidate.is_refused(SessionCommand::Lock { kind: CardKind::Requirements });
    candidate.is_refused(SessionCommand::Draft { kind: CardKind::Tables, fields: blank });
}

#[test]
fn follow_up_depends_on_what_was_written() {
    let first = |text: &str| {
        let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
        candidate.goes_to("design");
        candidate.writes_all(text);
        let phase = candidate.phase();
        prompts::next(&candidate.content, &candidate.session, phase).expect("a question").id.clone()
    };
    assert_eq!(first("Kafka between the parts, postgres below, a worker after the commit"), "des-broker");
    let outbox = first("an outbox, postgres, and a worker");
    assert_eq!(outbox, "des-outbox-order");
}

#[test]
fn leaving_a_phase_locks_what_was_typed() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    let fields = BTreeMap::from([("text".to_owned(), "half a".to_owned())]);
    candidate.does(SessionCommand::Draft { kind: CardKind::Requirements, fields });
    candidate.does(SessionCommand::Next);
    assert!(candidate.session.cards[0].locked_s.is_some());
    assert_eq!(candidate.phase(), 1);
}

#[test]
fn clock_stands_still_during_an_interruption() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.does(SessionCommand::Tick);
    assert_eq!(candidate.session.elapsed_s(), 10);
    candidate.now = candidate.now + TimeDelta::seconds(INTERRUPTION_S + 4_000);
    candidate.does(SessionCommand::Tick);
    assert_eq!((candidate.session.elapsed_s(), candidate.session.clock.interruptions), (10, 1));
    candidate.does(SessionCommand::Tick);
    assert_eq!(candidate.session.elapsed_s(), 20);
    // A clock that steps back is no time.
    candidate.now = candidate.now + TimeDelta::seconds(-500);
    candidate.does(SessionCommand::Tick);
    assert_eq!(candidate.session.elapsed_s(), 20);
}

#[test]
fn interview_ends_with_its_time() {
    let mut candidate = Candidate::started(Setup { speed: 300, ..setup("ride-hailing", "senior") });
    candidate.does(SessionCommand::Tick);
    assert_eq!(candidate.session.stage, Stage::Canned, "10 s × 300 is 50 minutes");
    assert_eq!(candidate.session.elapsed_s(), 45 * 60);
    assert!(matches!(candidate.is_refused(SessionCommand::Next), Refused::State(why) if why.contains("over")));
}

#[test]
fn bet_is_placed_once_and_within_its_range() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    assert!(
        matches!(candidate.is_refused(SessionCommand::Bet { value: 1.0 }), Refused::State(_)),
        "no bet on requirements"
    );
    candidate.goes_to("dive");
    let lab = candidate.session.phases[candidate.phase()].bet.clone().expect("a bet");
    let max = candidate.content.bet(&lab).expect("known").max;
    assert!(matches!(candidate.is_refused(SessionCommand::Bet { value: max + 1.0 }), Refused::Field("value", _)));
    candidate.does(SessionCommand::Bet { value: max });
    candidate.is_refused(SessionCommand::Bet { value: max });
    assert_eq!(candidate.session.bets.len(), 1);
}

#[test]
fn phase_has_at_most_six_follow_ups_and_none_is_asked_twice() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.goes_to("api");
    candidate.writes_all("nothing of note");
    while candidate.tries(SessionCommand::Ask).is_ok() {}
    let asked: std::collections::BTreeSet<_> = candidate.session.prompts.iter().map(|asked| &asked.question).collect();
    assert_eq!((asked.len(), candidate.session.prompts.len()), (PROMPTS_MAX, PROMPTS_MAX));
    assert!(candidate.session.prompts[..PROMPTS_MAX - 1].iter().all(|asked| asked.answered_s.is_some()));
}

#[test]
fn nothing_is_revealed_before_its_time() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    let shown = |candidate: &Candidate| view(&candidate.content, &candidate.session, &[]).to_string();
    let ball = candidate
        .content
        .curveballs
        .iter()
        .find(|ball| ball.id == candidate.session.drawn.curveball)
        .expect("drawn")
        .clone();
    let constraint = candidate
        .content
        .constraints
        .iter()
        .find(|one| one.id == candidate.session.drawn.constraint)
        .expect("drawn")
        .clone();
    let dive = candidate
        .content
        .session
        .dive
        .iter()
        .find(|dive| dive.id == candidate.session.drawn.dives[0])
        .expect("drawn")
        .clone();
    assert!(shown(&candidate).contains(&constraint.title), "the constraint is part of the question");
    for secret in [&ball.title, &constraint.changes, &dive.title] {
        assert!(!shown(&candidate).contains(secret), "{secret}");
    }
    candidate.writes_all("rides");
    candidate.does(SessionCommand::Ask);
    let question = candidate.content.question(&candidate.session.prompts[0].question).expect("known").clone();
    assert!(shown(&candidate).contains(&question.prompt) && !shown(&candidate).contains(&question.good));
    candidate.goes_to("wrap-up");
    assert!(shown(&candidate).contains(&ball.title) && !shown(&candidate).contains(&ball.good));
    let claim = &candidate.content.observables[0].claim.clone();
    assert!(!shown(&candidate).contains(claim.as_str()));
    candidate.reaches_marking();
    assert!(shown(&candidate).contains(claim.as_str()) && shown(&candidate).contains(&question.good));
    assert!(!shown(&candidate).contains("falsehood"), "which lines are false is not said");
    candidate.does(SessionCommand::Finish);
    assert!(shown(&candidate).contains(&ball.good));
}

#[test]
fn canned_answers_are_marked_once_and_before_one_s_own() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.is_refused(SessionCommand::Mark { ticks: Vec::new() });
    while candidate.session.stage == Stage::Interview {
        candidate.does(SessionCommand::Next);
    }
    candidate.is_refused(SessionCommand::Finish);
    let id = candidate.content.canned[0].id.clone();
    let foreign = CannedMarks { id: id.clone(), ticks: vec!["reconciles".to_owned()], passes: true };
    assert!(matches!(candidate.is_refused(SessionCommand::MarkCanned(foreign)), Refused::Field("ticks", _)));
    let marks = CannedMarks { id, ticks: Vec::new(), passes: true };
    candidate.does(SessionCommand::MarkCanned(marks.clone()));
    candidate.is_refused(SessionCommand::MarkCanned(marks));
    assert_eq!(candidate.session.stage, Stage::Canned, "there is another one");
}

#[test]
fn tick_needs_evidence() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.writes(CardKind::Requirements, "no ratings");
    candidate.reaches_marking();
    let tick = |card, at_s| Tick { observable: "scope-cut".to_owned(), shown: Shown::Unprompted, card, at_s };
    for refused in [tick(None, None), tick(Some(9), None), tick(None, Some(9_999))] {
        assert!(matches!(
            candidate.is_refused(SessionCommand::Mark { ticks: vec![refused] }),
            Refused::Field("ticks", _)
        ));
    }
    candidate.is_refused(SessionCommand::Mark { ticks: vec![tick(Some(0), None), tick(Some(0), None)] });
    let unknown = Tick { observable: "charm".to_owned(), ..tick(Some(0), None) };
    candidate.is_refused(SessionCommand::Mark { ticks: vec![unknown] });
    candidate.does(SessionCommand::Mark { ticks: vec![tick(Some(0), None)] });
}

#[test]
fn what_follows_its_follow_up_is_not_unprompted() {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    candidate.writes(CardKind::Requirements, "rides for riders and drivers");
    while !candidate.session.prompts.iter().any(|asked| asked.question == "req-out-of-scope") {
        candidate.does(SessionCommand::Ask);
    }
    let asked_s = candidate.session.prompts.last().expect("asked").asked_s;
    candidate.reaches_marking();
    let tick = |shown, at_s| Tick { observable: "scope-cut".to_owned(), shown, card: None, at_s: Some(at_s) };
    candidate.is_refused(SessionCommand::Mark { ticks: vec![tick(Shown::Unprompted, asked_s + 5)] });
    candidate.does(SessionCommand::Mark { ticks: vec![tick(Shown::Probed, asked_s + 5)] });
    candidate.does(SessionCommand::Mark { ticks: vec![tick(Shown::Unprompted, asked_s - 5)] });
}
