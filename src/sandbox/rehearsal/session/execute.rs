//! What a command does to a session. Pure: the time is an argument.

use std::collections::BTreeMap;

use crate::platform::clock::MachineTime;
use crate::sandbox::rehearsal::content::{CardKind, Content};
use crate::sandbox::rehearsal::marking::check_tick;
use crate::sandbox::rehearsal::prompts;
use crate::sandbox::rehearsal::schedule::{Setup, draw, phases};

use super::{AskedPrompt, CannedMarks, Card, FORMAT, PlacedBet, Session, SessionClock, SessionCommand, Stage, Tick};

/// A pause between two signs of life that counts as an interruption: the clock stands still meanwhile. The page sends one every
/// five seconds, so that a slow request is none.
pub const INTERRUPTION_S: i64 = 20;

/// The most characters of a field.
pub const FIELD_CHARS_MAX: usize = 6_000;

/// The most decision cards of a phase.
const DECISIONS_MAX: usize = 6;

/// The most marks of a session.
const TICKS_MAX: usize = 60;

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Not in this state of the session.
    State(String),
    /// A field is invalid.
    Field(&'static str, String),
}

pub(super) type Applied = Result<(), Refused>;

impl Session {
    /// Makes a session.
    pub fn new(content: &Content, id: String, setup: Setup, created_at: MachineTime) -> Self {
        let drawn = draw(content, &setup);
        let clock = SessionClock { elapsed_ms: 0, last_sign: created_at, interruptions: 0 };
        Self {
            format: FORMAT,
            id,
            created_at,
            phases: phases(content, &setup, &drawn),
            setup,
            drawn,
            stage: Stage::Ready,
            clock,
            entered_s: Vec::new(),
            cards: Vec::new(),
            prompts: Vec::new(),
            bets: Vec::new(),
            canned: Vec::new(),
            ticks: Vec::new(),
            pair: None,
        }
    }

    /// The second of the interview.
    pub fn elapsed_s(&self) -> u32 {
        u32::try_from(self.clock.elapsed_ms / 1_000).unwrap_or(u32::MAX)
    }

    /// Milliseconds of the interview at a time after the last sign of life, as the candidate's page shows them.
    pub fn elapsed_ms_at(&self, at: MachineTime) -> u64 {
        let gap = at.since(self.clock.last_sign);
        if self.stage != Stage::Interview || gap.num_seconds() >= INTERRUPTION_S {
            return self.clock.elapsed_ms;
        }
        let passed = u64::try_from(gap.num_milliseconds()).unwrap_or_default() * u64::from(self.setup.speed);
        (self.clock.elapsed_ms + passed).min(u64::from(self.total_s()) * 1_000)
    }

    /// The length, seconds.
    pub fn total_s(&self) -> u32 {
        self.setup.minutes * 60
    }

    /// The index of the current phase, while the interview is going on.
    pub fn current(&self) -> Option<usize> {
        if self.stage == Stage::Interview { self.entered_s.len().checked_sub(1) } else { None }
    }

    /// The open card of a kind in the current phase, as an index.
    fn open_card(&self, kind: CardKind, phase: usize) -> Option<usize> {
        self.cards.iter().position(|card| card.kind == kind && card.phase == phase && card.locked_s.is_none())
    }

    /// Whether the current phase has a locked card of each kind that it asks for.
    pub fn cards_are_locked(&self, phase: usize) -> bool {
        let is_locked = |kind: &CardKind| {
            self.cards.iter().any(|card| card.kind == *kind && card.phase == phase && card.locked_s.is_some())
        };
        self.phases.get(phase).is_some_and(|planned| planned.cards.iter().all(is_locked))
    }

    /// Lets time pass until `at`, and ends the interview when its time is over.
    pub fn pass(&mut self, at: MachineTime) {
        let (elapsed_ms, gap) = (self.elapsed_ms_at(at), at.since(self.clock.last_sign));
        self.clock.last_sign = at.max(self.clock.last_sign);
        if self.stage != Stage::Interview {
            return;
        }
        self.clock.elapsed_ms = elapsed_ms;
        if gap.num_seconds() >= INTERRUPTION_S {
            self.clock.interruptions += 1;
        }
        self.limit_partner_times();
        if elapsed_ms == u64::from(self.total_s()) * 1_000 {
            self.end_interview();
        }
    }

    /// Executes a command. Time passes first, so a command after the end is refused.
    ///
    /// # Errors
    /// Why it is refused. Nothing but the clock has changed.
    pub fn execute(&mut self, content: &Content, command: SessionCommand, at: MachineTime) -> Applied {
        if command == SessionCommand::Start && self.stage == Stage::Ready {
            self.clock.last_sign = at.max(self.clock.last_sign);
            self.stage = Stage::Interview;
            self.entered_s.push(0);
            return Ok(());
        }
        self.pass(at);
        match command {
            SessionCommand::Tick => Ok(()),
            SessionCommand::Start => Err(Refused::State("The session has already started.".to_owned())),
            SessionCommand::MarkCanned(marks) => self.mark_canned(content, marks),
            SessionCommand::Mark { ticks } => self.mark(content, ticks),
            SessionCommand::Finish => self.finish(),
            SessionCommand::FinishAlone => self.finish_alone(),
            interview => {
                let phase = self.current().ok_or_else(|| Refused::State(self.why_no_interview()))?;
                self.in_interview(content, interview, phase)
            }
        }
    }

    fn why_no_interview(&self) -> String {
        match self.stage {
            Stage::Ready => "The clock has not started.".to_owned(),
            _ => "The interview is over; what was typed until then is kept.".to_owned(),
        }
    }

    fn in_interview(&mut self, content: &Content, command: SessionCommand, phase: usize) -> Applied {
        let now_s = self.elapsed_s();
        match command {
            SessionCommand::Draft { kind, fields } => self.draft(kind, fields, phase),
            SessionCommand::Lock { kind } => {
                let Some(index) = self.open_card(kind, phase) else {
                    return Err(Refused::State("There is no open card of this kind: write it first.".to_owned()));
                };
                if self.cards[index].fields.values().all(|text| text.trim().is_empty()) {
                    return Err(Refused::State("The card is empty: write it first.".to_owned()));
                }
                self.cards[index].locked_s = Some(now_s);
                Ok(())
            }
            SessionCommand::Ask => {
                let question = prompts::next(content, self, phase).map_err(|why| Refused::State(why.to_owned()))?;
                let question = question.id.clone();
                self.answer_open_prompt(now_s);
                self.prompts.push(AskedPrompt { question, phase, asked_s: now_s, answered_s: None });
                Ok(())
            }
            SessionCommand::Answered => {
                self.answer_open_prompt(now_s);
                Ok(())
            }
            SessionCommand::Bet { value } => self.bet(content, value, phase),
            _ => {
                self.leave_phase(phase);
                if phase + 1 < self.phases.len() {
                    self.entered_s.push(now_s);
                } else {
                    self.end_interview();
                }
                Ok(())
            }
        }
    }

    fn draft(&mut self, kind: CardKind, fields: BTreeMap<String, String>, phase: usize) -> Applied {
        if !self.phases[phase].cards.contains(&kind) {
            return Err(Refused::State("This phase has no such card.".to_owned()));
        }
        if fields.len() > 8
            || fields.iter().any(|(name, text)| name.len() > 40 || text.chars().count() > FIELD_CHARS_MAX)
        {
            return Err(Refused::Field("fields", format!("must have at most {FIELD_CHARS_MAX} characters each")));
        }
        if let Some(index) = self.open_card(kind, phase) {
            self.cards[index].fields = fields;
            return Ok(());
        }
        let count = self.cards.iter().filter(|card| card.kind == kind && card.phase == phase).count();
        if count > 0 && kind != CardKind::Decision {
            return Err(Refused::State("The card is locked. It does not change any more.".to_owned()));
        }
        if count >= DECISIONS_MAX {
            return Err(Refused::State(format!("A phase has at most {DECISIONS_MAX} decision cards.")));
        }
        self.cards.push(Card { kind, phase, fields, begun_s: self.elapsed_s(), locked_s: None });
        Ok(())
    }

    fn bet(&mut self, content: &Content, value: f64, phase: usize) -> Applied {
        let bet = self.phases[phase].bet.as_deref().and_then(|lab| content.bet(lab));
        let Some(bet) = bet else {
            return Err(Refused::State("This phase has no bet.".to_owned()));
        };
        if self.bets.iter().any(|placed| placed.lab == bet.lab) {
            return Err(Refused::State("The bet is placed. It does not change any more.".to_owned()));
        }
        if !(bet.min..=bet.max).contains(&value) {
            return Err(Refused::Field("value", format!("must be {} to {} {}", bet.min, bet.max, bet.unit)));
        }
        self.bets.push(PlacedBet { lab: bet.lab.clone(), value, at_s: self.elapsed_s() });
        Ok(())
    }

    /// Ends the answer to the last follow-up.
    pub(super) fn answer_open_prompt(&mut self, now_s: u32) {
        if let Some(open) = self.prompts.last_mut().filter(|prompt| prompt.answered_s.is_none()) {
            open.answered_s = Some(now_s);
        }
    }

    /// Locks what was typed, and removes cards without a word.
    fn leave_phase(&mut self, phase: usize) {
        let now_s = self.elapsed_s();
        self.answer_open_prompt(now_s);
        self.cards.retain(|card| card.locked_s.is_some() || card.fields.values().any(|text| !text.trim().is_empty()));
        for card in self.cards.iter_mut().filter(|card| card.phase == phase) {
            card.locked_s.get_or_insert(now_s);
        }
    }

    fn end_interview(&mut self) {
        if let Some(phase) = self.current() {
            self.leave_phase(phase);
        }
        self.stage = Stage::Canned;
    }

    fn mark_canned(&mut self, content: &Content, marks: CannedMarks) -> Applied {
        if self.stage != Stage::Canned {
            return Err(Refused::State("The canned answers are marked after the interview, once.".to_owned()));
        }
        let Some(answer) = content.canned(&marks.id) else {
            return Err(Refused::Field("id", "is no canned answer".to_owned()));
        };
        if self.canned.iter().any(|own| own.id == marks.id) {
            return Err(Refused::State("This answer is marked. Its marks do not change any more.".to_owned()));
        }
        if !marks.ticks.iter().all(|tick| answer.offered.contains(tick)) {
            return Err(Refused::Field("ticks", "must be observables of this answer".to_owned()));
        }
        self.canned.push(marks);
        if content.canned.iter().all(|answer| self.canned.iter().any(|own| own.id == answer.id)) {
            self.stage = Stage::Marking;
        }
        Ok(())
    }

    fn mark(&mut self, content: &Content, ticks: Vec<Tick>) -> Applied {
        if self.stage != Stage::Marking {
            return Err(Refused::State(
                "Marking begins after the canned answers, and ends with the report.".to_owned(),
            ));
        }
        check_ticks(content, self, &ticks)?;
        self.ticks = ticks;
        Ok(())
    }

    fn finish(&mut self) -> Applied {
        if self.stage != Stage::Marking {
            return Err(Refused::State("Only the marking can be finished.".to_owned()));
        }
        let awaits_partner = self.pair.as_ref().is_some_and(|pair| !pair.is_handed_in);
        self.stage = if awaits_partner { Stage::Waiting } else { Stage::Done };
        Ok(())
    }

    fn finish_alone(&mut self) -> Applied {
        if self.stage != Stage::Waiting {
            return Err(Refused::State("Only a session that waits for its partner can be finished alone.".to_owned()));
        }
        self.stage = Stage::Done;
        Ok(())
    }
}

/// Checks a list of marks: each has evidence, and no observable is there twice.
pub(super) fn check_ticks(content: &Content, session: &Session, ticks: &[Tick]) -> Applied {
    if ticks.len() > TICKS_MAX {
        return Err(Refused::Field("ticks", format!("must be at most {TICKS_MAX}")));
    }
    for (index, tick) in ticks.iter().enumerate() {
        if ticks[..index].iter().any(|earlier| earlier.observable == tick.observable) {
            return Err(Refused::Field("ticks", format!("has `{}` twice", tick.observable)));
        }
        check_tick(content, session, tick).map_err(|why| Refused::Field("ticks", why))?;
    }
    Ok(())
}
