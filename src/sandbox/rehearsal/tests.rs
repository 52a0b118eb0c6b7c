//! Tests of the content, the session, the partner, the marking, the report and the store.

mod content_tests;
mod marking_tests;
mod pair_tests;
mod report_tests;
mod session_tests;
mod store_tests;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};

use super::content::{CardKind, Content};
use super::schedule::Setup;
use super::session::{LinkKeys, Pair, PartnerCommand, Refused, Session, SessionCommand, Stage};
use crate::platform::clock::MachineTime;

fn content() -> Content {
    Content::embedded().expect("the content can be parsed")
}

fn setup(cut: &str, level: &str) -> Setup {
    Setup { cut: cut.to_owned(), minutes: 45, level: level.to_owned(), seed: 7, speed: 1 }
}

/// A session with a clock of its own: ten seconds pass with each command.
struct Candidate {
    content: Content,
    session: Session,
    now: MachineTime,
}

impl Candidate {
    fn new(content: Content, setup: Setup) -> Self {
        let now = MachineTime::new(DateTime::from_timestamp(1_800_000_000, 0).expect("in range"));
        let session = Session::new(&content, "20270115-080000-abcdef".to_owned(), setup, now);
        Self { content, session, now }
    }

    fn started(setup: Setup) -> Self {
        Self::started_with(content(), setup)
    }

    fn started_with(content: Content, setup: Setup) -> Self {
        let mut candidate = Self::new(content, setup);
        candidate.does(SessionCommand::Start);
        candidate
    }

    /// A session for two whose clock runs.
    fn with_partner(setup: Setup) -> Self {
        let mut candidate = Self::new(content(), setup);
        let keys = LinkKeys { partner: "p".repeat(32), candidate: "c".repeat(32) };
        candidate.session.pair = Some(Pair::new(keys, false));
        candidate.does(SessionCommand::Start);
        candidate
    }

    /// The partner does something, two seconds later.
    fn partner_tries(&mut self, command: PartnerCommand) -> Result<(), Refused> {
        self.now = self.now + TimeDelta::seconds(2);
        self.session.execute_partner(&self.content, command, self.now)
    }

    #[track_caller]
    fn partner_does(&mut self, command: PartnerCommand) {
        self.partner_tries(command).expect("accepted");
    }

    #[track_caller]
    fn partner_is_refused(&mut self, command: PartnerCommand) -> Refused {
        self.partner_tries(command).expect_err("refused")
    }

    fn pair(&self) -> &Pair {
        self.session.pair.as_ref().expect("a partner")
    }

    fn tries(&mut self, command: SessionCommand) -> Result<(), Refused> {
        self.now = self.now + TimeDelta::seconds(10);
        self.session.execute(&self.content, command, self.now)
    }

    #[track_caller]
    fn does(&mut self, command: SessionCommand) {
        self.tries(command).expect("accepted");
    }

    #[track_caller]
    fn is_refused(&mut self, command: SessionCommand) -> Refused {
        self.tries(command).expect_err("refused")
    }

    fn phase(&self) -> usize {
        self.session.current().expect("an interview")
    }

    /// Writes and locks a card with one text in its first field.
    #[track_caller]
    fn writes(&mut self, kind: CardKind, text: &str) {
        let name = if kind == CardKind::Decision { "use" } else { "text" };
        self.writes_fields(kind, &[(name, text)]);
    }

    #[track_caller]
    fn writes_fields(&mut self, kind: CardKind, fields: &[(&str, &str)]) {
        let fields: BTreeMap<_, _> =
            fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        self.does(SessionCommand::Draft { kind, fields });
        self.does(SessionCommand::Lock { kind });
    }

    /// Writes every card of the current phase with the same text.
    #[track_caller]
    fn writes_all(&mut self, text: &str) {
        for kind in self.session.phases[self.phase()].cards.clone() {
            self.writes(kind, text);
        }
    }

    /// Goes to the phase with this id.
    #[track_caller]
    fn goes_to(&mut self, phase: &str) {
        while self.session.phases[self.phase()].phase != phase {
            self.does(SessionCommand::Next);
        }
    }

    /// Ends the interview and marks the canned answers as they are.
    #[track_caller]
    fn reaches_marking(&mut self) {
        while self.session.stage == Stage::Interview {
            self.does(SessionCommand::Next);
        }
        for answer in self.content.canned.clone() {
            let marks = super::session::CannedMarks { id: answer.id, ticks: answer.shows, passes: answer.passes };
            self.does(SessionCommand::MarkCanned(marks));
        }
    }
}
