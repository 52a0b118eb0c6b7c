use super::*;
use crate::sandbox::rehearsal::marking::{expected, mark};
use crate::sandbox::rehearsal::report::{WORDS_MAX, advice, report, words};
use crate::sandbox::rehearsal::session::{PartnerCommand, Shown, Tick, curveballs};
use crate::sandbox::rehearsal::view::summary;

/// A session as a candidate would do it who knows the common answers.
fn imperfect() -> Candidate {
    let mut candidate = Candidate::started(setup("ride-hailing", "senior"));
    let text = "Redis GEO for positions | Kafka between services, a lock on the driver with a TTL";
    while candidate.session.stage == Stage::Interview {
        candidate.writes_all(text);
        candidate.does(SessionCommand::Ask);
        if let Some(lab) = candidate.session.phases[candidate.phase()].bet.clone() {
            let value = candidate.content.bet(&lab).expect("known").min;
            candidate.does(SessionCommand::Bet { value });
        }
        candidate.does(SessionCommand::Next);
    }
    candidate.reaches_marking();
    let tick = |id: &str| Tick { observable: id.to_owned(), shown: Shown::Unprompted, card: Some(0), at_s: None };
    candidate.does(SessionCommand::Mark { ticks: ["scope-cut", "lock-ttl"].map(tick).to_vec() });
    candidate.does(SessionCommand::Finish);
    candidate
}

#[test]
fn report_has_three_sentences_each_with_a_miss_a_link_and_one_next_step() {
    let candidate = imperfect();
    let marks = mark(&candidate.content, &candidate.session, &[]);
    let found = advice(&candidate.content, &candidate.session, &marks);
    assert_eq!(found.len(), 3);
    assert!(
        found[0].missed.contains("Sounds right and is wrong") && found[0].evidence.contains("card 1"),
        "{:?}",
        found[0]
    );
    let mut nexts: Vec<_> = found.iter().map(|one| &one.next).collect();
    nexts.dedup();
    assert_eq!(nexts.len(), 3);
    for one in &found {
        assert!(
            !one.say.is_empty() && !one.evidence.is_empty() && !one.link.is_empty() && !one.next.is_empty(),
            "{one:?}"
        );
    }
}

#[test]
fn report_is_one_page_with_every_section() {
    let candidate = imperfect();
    let marks = mark(&candidate.content, &candidate.session, &[]);
    let earlier = vec![summary(&candidate.content, &candidate.session, &[])];
    let text = report(&candidate.content, &candidate.session, &marks, &earlier);
    for title in
        ["Say next time", "Dimensions", "Timeline", "Calibration", "Shown, with evidence", "Curveballs", "Trend"]
    {
        assert!(text.contains(&format!("## {title}\n")), "{title} is missing:\n{text}");
    }
    assert!(text.contains("No double assignment: **failed**."), "{text}");
    assert!(text.contains("`cargo lab run "), "an open bet names its command");
    assert!(words(&text) <= WORDS_MAX, "{} words are no page:\n{text}", words(&text));
}

/// A session in which everything happens, with words as short as they can be.
fn crowded(cut: &str, level: &str, seed: u64) -> Candidate {
    let mut candidate = Candidate::with_partner(Setup { seed, ..setup(cut, level) });
    let text = "a 1 ".repeat(1_000);
    while candidate.session.stage == Stage::Interview {
        candidate.writes_all(&text);
        while candidate.tries(SessionCommand::Ask).is_ok() {}
        if let Some(lab) = candidate.session.phases[candidate.phase()].bet.clone() {
            let value = candidate.content.bet(&lab).expect("known").max;
            candidate.does(SessionCommand::Bet { value });
        }
        let ball = curveballs(&candidate.content, &candidate.session).nth(candidate.pair().thrown.len());
        if let Some(curveball) = ball.map(|ball| ball.id.clone()) {
            let _at_most_three = candidate.partner_tries(PartnerCommand::Throw { curveball });
        }
        candidate.does(SessionCommand::Next);
    }
    candidate.session.clock.interruptions = 3;
    candidate.reaches_marking();
    let all: Vec<_> = expected(&candidate.content, &candidate.session).map(|one| one.id.clone()).collect();
    let tick =
        |observable: &String| Tick { observable: observable.clone(), shown: Shown::Probed, card: Some(0), at_s: None };
    candidate.does(SessionCommand::Mark { ticks: all.iter().map(tick).collect() });
    let note = "a ".repeat(200);
    candidate.partner_does(PartnerCommand::Mark { ticks: Vec::new(), communication: Some(2), note });
    candidate.partner_does(PartnerCommand::HandIn);
    candidate.does(SessionCommand::Finish);
    candidate
}

#[test]
fn report_of_a_crowded_session_is_one_page_at_every_cut_and_level() {
    for cut in ["ride-hailing", "payments", "search"] {
        for (level, seed) in ["mid", "senior", "staff"].into_iter().zip([7, 8, 9]) {
            let Candidate { content, session, .. } = crowded(cut, level, seed);
            let marks = mark(&content, &session, &[]);
            let earlier = vec![summary(&content, &session, &[]); 9];
            let text = report(&content, &session, &marks, &earlier);
            assert!(words(&text) <= WORDS_MAX, "{} words are no page:\n{text}", words(&text));
            for phase in &session.phases {
                assert!(text.contains(&format!("- {}: ", phase.title)), "{} is missing:\n{text}", phase.title);
            }
            let advice = advice(&content, &session, &marks);
            assert!(advice.len() == 3 && advice.iter().all(|one| text.contains(&one.say) && text.contains(&one.link)));
            assert!(text.matches("`cargo lab run ").count() >= session.bets.len(), "{text}");
            for title in ["With your partner", "Calibration", "Shown, with evidence", "Curveballs", "Trend"] {
                assert!(text.contains(&format!("## {title}\n")), "{title} is missing:\n{text}");
            }
        }
    }
}

#[test]
fn follow_up_whose_answer_shows_nothing_is_a_missed_one() {
    let mut candidate = Candidate::with_partner(setup("ride-hailing", "senior"));
    candidate.writes(CardKind::Requirements, "rides");
    candidate.partner_does(PartnerCommand::Ask { question: "req-out-of-scope".to_owned() });
    candidate.does(SessionCommand::Tick);
    candidate.reaches_marking();
    let text = |candidate: &Candidate| {
        report(&candidate.content, &candidate.session, &mark(&candidate.content, &candidate.session, &[]), &[])
    };
    assert!(text(&candidate).contains("- 0:22 “What do you leave out, and why?”"), "{}", text(&candidate));
    let tick = Tick { observable: "scope-cut".to_owned(), shown: Shown::Probed, card: None, at_s: Some(40) };
    candidate.does(SessionCommand::Mark { ticks: vec![tick] });
    assert!(!text(&candidate).contains("What do you leave out, and why?"), "{}", text(&candidate));
}

#[test]
fn session_without_a_word_has_a_report_too() {
    let mut candidate = Candidate::started(setup("payments", "mid"));
    candidate.reaches_marking();
    candidate.does(SessionCommand::Finish);
    let marks = mark(&candidate.content, &candidate.session, &[]);
    let text = report(&candidate.content, &candidate.session, &marks, &[]);
    assert!(text.contains("**0 of 100: does not pass.**") && !text.contains("## Trend"), "{text}");
    assert!(text.contains("No card and no time shows it."), "{text}");
}
