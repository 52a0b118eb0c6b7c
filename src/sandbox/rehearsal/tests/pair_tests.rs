use std::collections::BTreeSet;

use super::*;
use crate::sandbox::rehearsal::links::{Link, Role, path_of};
use crate::sandbox::rehearsal::marking::{ObservableState, expected, gap, mark};
use crate::sandbox::rehearsal::presence::{AWAY_S, Occupied, Presence};
use crate::sandbox::rehearsal::report::report;
use crate::sandbox::rehearsal::session::{
    FreshSession, INTERRUPTION_S, NOTE_CHARS_MAX, PartnerStage, Shown, THROWN_MAX, Tick, curveballs,
};
use crate::sandbox::rehearsal::view::{Companion, partner_of, partner_view, view};

fn started() -> Candidate {
    Candidate::with_partner(setup("ride-hailing", "senior"))
}

fn tick(observable: &str) -> PartnerCommand {
    PartnerCommand::Tick { observable: observable.to_owned() }
}

fn ask(question: &str) -> PartnerCommand {
    PartnerCommand::Ask { question: question.to_owned() }
}

fn throw(curveball: &str) -> PartnerCommand {
    PartnerCommand::Throw { curveball: curveball.to_owned() }
}

fn shown_at(observable: &str, at_s: u32) -> Tick {
    Tick { observable: observable.to_owned(), shown: Shown::Unprompted, card: None, at_s: Some(at_s) }
}

fn marks(ticks: Vec<Tick>, communication: Option<u32>, note: &str) -> PartnerCommand {
    PartnerCommand::Mark { ticks, communication, note: note.to_owned() }
}

/// What the candidate's page receives.
fn of_candidate(candidate: &Candidate) -> serde_json::Value {
    let companion = Companion { is_present: true, base: None };
    let mut shown = view(&candidate.content, &candidate.session, &[]);
    shown["pair"] = partner_of(&candidate.content, &candidate.session, &companion);
    shown
}

/// What the partner's page receives.
fn of_partner(candidate: &Candidate) -> serde_json::Value {
    partner_view(&candidate.content, &candidate.session, &[], candidate.now)
}

#[test]
fn tick_has_the_time_of_the_session_and_whether_it_was_asked_for() {
    let mut candidate = started();
    candidate.does(SessionCommand::Tick);
    candidate.partner_does(tick("minor-units"));
    candidate.partner_does(tick("minor-units"));
    assert_eq!(candidate.pair().ticks, [shown_at("minor-units", 12)], "sent twice, and the first time counts");
    candidate.writes(CardKind::Requirements, "rides");
    candidate.partner_does(ask("req-out-of-scope"));
    candidate.partner_does(tick("scope-cut"));
    assert_eq!(candidate.pair().ticks[1].shown, Shown::Probed);
    candidate.partner_does(PartnerCommand::Untick { observable: "minor-units".to_owned() });
    assert_eq!(candidate.pair().ticks.len(), 1);
    assert!(matches!(candidate.partner_is_refused(tick("charm")), Refused::Field("observable", _)));
    // An observable of another cut does not count.
    assert!(matches!(candidate.partner_is_refused(tick("bounded-error")), Refused::Field("observable", _)));
}

#[test]
fn partner_moves_no_clock_and_is_never_ahead_of_it() {
    let mut candidate = started();
    candidate.does(SessionCommand::Tick);
    candidate.partner_does(tick("scope-cut"));
    assert_eq!((candidate.session.elapsed_s(), candidate.pair().ticks[0].at_s), (10, Some(12)));
    assert_eq!(of_partner(&candidate)["elapsed_ms"], 12_000);
    // The candidate's page was closed just then: the clock stands still at its last sign.
    candidate.now = candidate.now + TimeDelta::seconds(INTERRUPTION_S);
    assert!(!candidate.session.candidate_is_present(candidate.now));
    assert_eq!(of_partner(&candidate)["elapsed_ms"], 10_000);
    candidate.does(SessionCommand::Tick);
    assert_eq!((candidate.session.elapsed_s(), candidate.pair().ticks[0].at_s), (10, Some(10)));
    candidate.reaches_marking();
    let kept = candidate.pair().ticks.clone();
    candidate.partner_does(marks(kept, None, ""));
}

#[test]
fn partner_asks_what_the_phase_has_and_once() {
    let mut candidate = started();
    assert!(
        matches!(candidate.partner_is_refused(ask("req-promise")), Refused::State(why) if why.contains("Lock the cards"))
    );
    assert_eq!(of_partner(&candidate)["now"]["choices"], serde_json::json!([]));
    candidate.writes(CardKind::Requirements, "rides");
    let choices = of_partner(&candidate)["now"]["choices"].as_array().expect("a list").clone();
    assert_eq!(choices.len(), 3);
    assert!(choices.iter().all(|one| one["good"].as_str().is_some_and(|good| !good.is_empty())), "{choices:?}");
    let first = choices[0]["id"].as_str().expect("an id").to_owned();
    candidate.partner_does(ask(&first));
    candidate.partner_does(ask(&first));
    candidate.partner_does(PartnerCommand::Answered);
    let [asked] = &candidate.session.prompts[..] else { panic!("{:?}", candidate.session.prompts) };
    assert_eq!(asked.answered_s, Some(asked.asked_s + 4));
    assert!(matches!(candidate.partner_is_refused(ask("des-broker")), Refused::Field("question", _)));
    assert!(matches!(candidate.partner_is_refused(ask("nothing")), Refused::Field("question", _)));
}

#[test]
fn curveballs_of_the_partner_are_seen_at_once_and_bounded() {
    let mut candidate = started();
    let drawn = candidate.session.drawn.curveball.clone();
    let choices: Vec<_> =
        curveballs(&candidate.content, &candidate.session).map(|ball| (ball.id.clone(), ball.clone())).collect();
    assert!(choices.iter().all(|(id, _)| *id != drawn));
    for refused in [drawn.as_str(), "hot-cell", "nothing"] {
        assert!(matches!(candidate.partner_is_refused(throw(refused)), Refused::Field("curveball", _)), "{refused}");
    }
    candidate.partner_does(throw(&choices[0].0));
    candidate.partner_does(throw(&choices[0].0));
    let thrown = of_candidate(&candidate)["pair"]["thrown"].clone();
    assert_eq!((thrown.as_array().map(Vec::len), &thrown[0]["at_s"]), (Some(1), &serde_json::json!(8)));
    assert_eq!(thrown[0]["text"], choices[0].1.text);
    assert!(!of_candidate(&candidate).to_string().contains(&choices[0].1.good), "the answer is the partner's to know");
    for (id, _) in &choices[1..THROWN_MAX] {
        candidate.partner_does(throw(id));
    }
    assert!(matches!(candidate.partner_is_refused(throw(&choices[THROWN_MAX].0)), Refused::State(_)));
}

#[test]
fn marks_are_independent_until_both_are_handed_in_and_then_show_the_gap() {
    let mut candidate = started();
    candidate.reaches_marking();
    candidate.partner_does(marks(vec![shown_at("scope-cut", 1)], Some(3), "Speak louder."));
    candidate.does(SessionCommand::Mark { ticks: vec![shown_at("lock-ttl", 1)] });
    let of_the_other = of_candidate(&candidate).to_string();
    assert!(!of_the_other.contains("louder") && !of_the_other.contains("scope-cut\",\"shown"), "{of_the_other}");
    assert_eq!(of_partner(&candidate)["marking"]["ticks"][0]["observable"], "scope-cut");
    assert!(!of_partner(&candidate)["marking"]["ticks"].to_string().contains("lock-ttl"));
    candidate.does(SessionCommand::Finish);
    assert_eq!(candidate.session.stage, Stage::Waiting);
    assert_eq!(of_candidate(&candidate)["result"], serde_json::Value::Null);
    assert_eq!(of_partner(&candidate)["result"], serde_json::Value::Null);
    assert!(!of_candidate(&candidate).to_string().contains("louder"));
    candidate.is_refused(SessionCommand::Mark { ticks: Vec::new() });
    candidate.partner_does(PartnerCommand::HandIn);
    candidate.partner_does(PartnerCommand::HandIn);
    assert_eq!(candidate.session.stage, Stage::Done);

    let all = mark(&candidate.content, &candidate.session, &[]);
    let found = gap(&candidate.content, &candidate.session, &all).expect("a gap");
    let states: Vec<_> = found.observables.iter().map(|one| (one.id.as_str(), one.candidate, one.partner)).collect();
    let (seen, missed) = (ObservableState::Unprompted, ObservableState::Missed);
    let lock = candidate.content.observable("lock-ttl").expect("known");
    let dive = candidate.content.question(&lock.probe).and_then(|question| question.dive.clone()).expect("a dive");
    let is_reached = candidate.session.drawn.dives.contains(&dive);
    let unseen = if is_reached { missed } else { ObservableState::NotReached };
    assert_eq!(states, [("scope-cut", missed, seen), ("lock-ttl", seen, unseen)]);
    assert_eq!(found.agreed + 2, expected(&candidate.content, &candidate.session).count());
    let framing = found.dimensions.iter().find(|one| one.id == "framing").expect("a dimension");
    assert!(framing.partner > framing.candidate, "{framing:?}");
    assert_eq!(of_partner(&candidate)["result"]["gap"], of_candidate(&candidate)["result"]["gap"]);
    let text = report(&candidate.content, &candidate.session, &all, &[]);
    assert!(text.contains("“Speak louder.”") && text.contains("- Communication: 3 of 4."), "{text}");
    assert!(text.contains("Framing and estimates: 0, partner "), "{text}");
}

#[test]
fn partner_who_hands_in_first_ends_nothing() {
    let mut candidate = started();
    candidate.reaches_marking();
    candidate.partner_does(PartnerCommand::HandIn);
    assert_eq!(candidate.session.partner_stage(), Some(PartnerStage::Waiting));
    assert!(matches!(candidate.partner_is_refused(marks(Vec::new(), None, "")), Refused::State(_)));
    assert!(matches!(candidate.partner_is_refused(tick("scope-cut")), Refused::State(_)));
    candidate.does(SessionCommand::Finish);
    assert_eq!((candidate.session.stage, candidate.session.partner_stage()), (Stage::Done, Some(PartnerStage::Done)));
}

#[test]
fn invalid_marks_of_the_partner_name_the_field() {
    let mut candidate = started();
    assert!(matches!(candidate.partner_is_refused(PartnerCommand::HandIn), Refused::State(_)), "before the end");
    candidate.reaches_marking();
    let long = "ä".repeat(NOTE_CHARS_MAX + 1);
    let mut field = |command| match candidate.partner_is_refused(command) {
        Refused::Field(field, _) => field,
        Refused::State(why) => panic!("{why}"),
    };
    assert_eq!(field(marks(Vec::new(), None, &long)), "note");
    assert_eq!(field(marks(Vec::new(), None, "\u{7}")), "note");
    assert_eq!(field(marks(Vec::new(), Some(5), "")), "communication");
    assert_eq!(field(marks(vec![shown_at("scope-cut", 1), shown_at("scope-cut", 2)], None, "")), "ticks");
    assert_eq!(field(marks(vec![shown_at("scope-cut", 9_999)], None, "")), "ticks");
    candidate.partner_does(marks(Vec::new(), Some(1), &"ä".repeat(NOTE_CHARS_MAX)));
}

#[test]
fn candidate_need_not_wait_for_a_partner_who_left() {
    let mut candidate = started();
    candidate.does(SessionCommand::Tick);
    candidate.partner_does(tick("scope-cut"));
    candidate.is_refused(SessionCommand::FinishAlone);
    candidate.reaches_marking();
    candidate.does(SessionCommand::Finish);
    candidate.does(SessionCommand::FinishAlone);
    assert_eq!(candidate.session.partner_stage(), Some(PartnerStage::Closed));
    for late in [marks(Vec::new(), None, ""), PartnerCommand::HandIn, tick("minor-units")] {
        assert!(matches!(candidate.partner_is_refused(late), Refused::State(why) if why.contains("closed")));
    }
    let all = mark(&candidate.content, &candidate.session, &[]);
    assert_eq!(gap(&candidate.content, &candidate.session, &all), None);
    assert_eq!(of_partner(&candidate)["result"], serde_json::Value::Null);
    assert_eq!(candidate.pair().ticks.len(), 1, "what the partner did is kept");
}

#[test]
fn session_without_a_partner_refuses_one_and_its_file_is_as_before() {
    let mut candidate = Candidate::started(setup("search", "mid"));
    assert!(matches!(candidate.partner_is_refused(tick("scope-cut")), Refused::State(_)));
    assert_eq!(of_partner(&candidate), serde_json::Value::Null);
    let file = serde_json::to_value(&candidate.session).expect("written");
    assert!(file.get("pair").is_none());
    assert_eq!(serde_json::from_value::<Session>(file).expect("read"), candidate.session);
}

#[test]
fn swap_makes_one_session_with_another_cut_and_the_roles_exchanged() {
    let mut candidate = started();
    let fresh = |id: &str| FreshSession {
        id: id.to_owned(),
        keys: LinkKeys { partner: format!("{id}p"), candidate: format!("{id}c") },
        seed: 9,
        created_at: MachineTime::new(DateTime::from_timestamp(1_800_003_600, 0).expect("in range")),
    };
    assert!(matches!(candidate.session.swap(fresh("a")), Err(Refused::State(_))), "before the report");
    candidate.reaches_marking();
    candidate.partner_does(PartnerCommand::HandIn);
    candidate.does(SessionCommand::Finish);
    assert_eq!(candidate.session.swap(fresh("a")), Ok(fresh("a")));
    assert_eq!(candidate.session.swap(fresh("b")), Ok(fresh("a")), "two requests make one session");
    assert_eq!(of_candidate(&candidate)["pair"]["is_swapped"], true);
    assert_eq!(of_partner(&candidate)["is_swapped"], true);
    let mut next = candidate.session.swapped(&candidate.content, &fresh("a"));
    let of_guest = partner_of(&candidate.content, &next, &Companion { is_present: false, base: None });
    assert_eq!(of_guest["path"], serde_json::Value::Null, "a guest has no link to the partner's page");
    assert_eq!(of_guest["is_swapped"], false);
    assert_eq!((next.setup.cut.as_str(), next.setup.level.as_str(), next.setup.seed), ("payments", "senior", 9));
    assert_eq!((next.id.as_str(), next.stage, next.is_of_guest()), ("a", Stage::Ready, true));
    let mut cuts = BTreeSet::from([candidate.session.setup.cut.clone(), next.setup.cut.clone()]);
    next = next.swapped(&candidate.content, &fresh("b"));
    cuts.insert(next.setup.cut.clone());
    assert_eq!((cuts.len(), next.is_of_guest()), (3, false));
    assert_eq!(
        next.swapped(&candidate.content, &fresh("c")).setup.cut,
        "ride-hailing",
        "after the last cut, the first"
    );
}

#[test]
fn earlier_sessions_of_a_guest_are_theirs_and_of_no_other_guest() {
    let content = content();
    let fresh = |id: &str| FreshSession {
        id: id.to_owned(),
        keys: LinkKeys { partner: "p".to_owned(), candidate: "c".to_owned() },
        seed: 9,
        created_at: MachineTime::new(DateTime::from_timestamp(1_800_000_000, 0).expect("in range")),
    };
    let follow = |session: &mut Session, id: &str| {
        session.pair.as_mut().expect("a partner").swap = Some(fresh(id));
        session.swapped(&content, &fresh(id))
    };
    // The owner with one partner, three times; then with another one.
    let mut first = started().session;
    first.id = "1".to_owned();
    let mut second = follow(&mut first, "2");
    let mut third = follow(&mut second, "3");
    let fourth = follow(&mut third, "4");
    let mut other = Session { id: "5".to_owned(), ..first.clone() };
    let of_other = follow(&mut other, "6");
    let all = [of_other, other, fourth, third, second, first];
    let earlier = |index: usize| all[index].earlier(&all).iter().map(|one| one.id.as_str()).collect::<Vec<_>>();
    assert_eq!(earlier(0), [""; 0], "the marks of another guest are not this one's to see");
    assert_eq!(earlier(2), ["2"]);
    assert_eq!((earlier(1), earlier(3)), (vec!["3", "1"], vec!["1"]));
}

#[test]
fn every_tick_and_every_curveball_has_a_key_of_its_own() {
    for cut in ["ride-hailing", "payments", "search"] {
        let candidate = Candidate::with_partner(setup(cut, "staff"));
        let shown = of_partner(&candidate);
        let keys = |list: &str| -> Vec<String> {
            let lines = shown[list].as_array().expect("a list").iter();
            lines.map(|line| line["key"].as_str().expect("a key").to_owned()).collect()
        };
        let (ticks, balls) = (keys("observables"), keys("curveballs"));
        assert_eq!(ticks.len(), expected(&candidate.content, &candidate.session).count(), "{cut}");
        assert_eq!(balls.len(), curveballs(&candidate.content, &candidate.session).count(), "{cut}");
        let all: BTreeSet<_> = ticks.iter().chain(&balls).map(String::as_str).chain(["y", "z"]).collect();
        assert_eq!(all.len(), ticks.len() + balls.len() + 2, "{cut}");
    }
}

#[test]
fn link_opens_its_session_for_its_role_only() {
    let candidate = started();
    let keys = &candidate.pair().keys;
    let path = path_of(Role::Partner, &candidate.session.id, keys);
    let token = path.strip_prefix("/rehearse/partner/").expect("a path").to_owned();
    let opens = |role, token: &str| Link::parse(role, token).is_some_and(|link| link.opens(&candidate.session));
    assert!(opens(Role::Partner, &token));
    assert_eq!(Link::parse(Role::Partner, &token).expect("a link").session(), candidate.session.id);
    assert!(!opens(Role::Candidate, &token));
    for wrong in
        [format!("{token}p"), token.replace("pppp", "qqqq"), token[..token.len() - 1].to_owned(), String::new()]
    {
        assert!(!opens(Role::Partner, &wrong), "{wrong}");
    }
    let alone = Candidate::started(setup("search", "mid"));
    assert!(!Link::parse(Role::Partner, &token).expect("a link").opens(&alone.session));
}

#[test]
fn one_page_has_the_link_until_it_is_gone() {
    let presence = Presence::default();
    let now = MachineTime::new(DateTime::from_timestamp(1_800_000_000, 0).expect("in range"));
    let at = |seconds| now + TimeDelta::seconds(seconds);
    assert!(!presence.is_present("s", now));
    assert_eq!(presence.arrive("s", "first", now), Ok(()));
    assert_eq!(presence.arrive("s", "first", at(5)), Ok(()));
    assert_eq!(presence.arrive("s", "second", at(8)), Err(Occupied { free_in_s: AWAY_S - 3 }));
    assert!(presence.is_present("s", at(8)) && !presence.is_present("other", at(8)));
    assert!(!presence.is_present("s", at(5 + AWAY_S)));
    assert_eq!(presence.arrive("s", "second", at(5 + AWAY_S)), Ok(()));
    assert_eq!(presence.arrive("s", "first", at(6 + AWAY_S)), Err(Occupied { free_in_s: AWAY_S - 1 }));
    for session in 0..1_000 {
        assert_eq!(presence.arrive(&session.to_string(), "page", at(100)), Ok(()));
    }
    assert!(!presence.is_present("0", at(100)) && presence.is_present("999", at(100)), "the number is bounded");
}
