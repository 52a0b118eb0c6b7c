use super::*;
use crate::sandbox::rehearsal::marking::mark;
use crate::sandbox::rehearsal::report::{advice, report};
use crate::sandbox::rehearsal::session::{Shown, Tick};
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
        found[0].missed.contains("sounds right and is wrong") && found[0].evidence.contains("card 1"),
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
    for title in [
        "Say next time",
        "Dimensions",
        "Timeline",
        "Numbers",
        "Bets",
        "Shown, with evidence",
        "How you mark",
        "Curveball",
        "Trend",
    ] {
        assert!(text.contains(&format!("## {title}\n")), "{title} is missing:\n{text}");
    }
    assert!(text.contains("No double assignment: **failed**."), "{text}");
    assert!(text.contains("`cargo lab run "), "an open bet names its command");
    let words = text.split_whitespace().count();
    assert!(words < 1_100, "{words} words are no page:\n{text}");
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
