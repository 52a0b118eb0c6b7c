//! A session for two: what the partner does, and how the roles are swapped. Pure: the time is an argument.
//!
//! The partner's marks are apart from the candidate's until both are handed in. Every command can be sent twice: a page whose answer
//! was lost sends it again.

use serde::{Deserialize, Serialize};

use crate::platform::clock::MachineTime;
use crate::sandbox::rehearsal::content::{Content, Curveball, is_for};
use crate::sandbox::rehearsal::marking::{expected, probed_at};
use crate::sandbox::rehearsal::prompts;
use crate::sandbox::rehearsal::schedule::Setup;

use super::execute::{Applied, check_ticks};
use super::{AskedPrompt, INTERRUPTION_S, Refused, Session, Shown, Stage, Tick};

/// The most curveballs of a partner in a session. One more comes in the last phase.
pub const THROWN_MAX: usize = 3;

/// The most points of communication.
pub const COMMUNICATION_MAX: u32 = 4;

/// The most characters of a partner's note.
pub const NOTE_CHARS_MAX: usize = 400;

/// The secrets in the links of a session: who has one may do what the link is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkKeys {
    /// In the partner's link.
    pub partner: String,
    /// In the candidate's link.
    pub candidate: String,
}

/// A curveball of the partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thrown {
    /// The curveball.
    pub curveball: String,
    /// The phase, as an index.
    pub phase: usize,
    /// The second of the interview.
    pub at_s: u32,
}

/// What is random in a new session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshSession {
    /// Its name.
    pub id: String,
    /// Its links.
    pub keys: LinkKeys,
    /// What its draws follow from.
    pub seed: u64,
    /// When it was asked for.
    pub created_at: MachineTime,
}

/// The partner of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The links.
    pub keys: LinkKeys,
    /// Whether the candidate came by a link, and was the partner of an earlier session.
    pub is_guest: bool,
    /// The partner's marks.
    pub ticks: Vec<Tick>,
    /// The partner's curveballs.
    pub thrown: Vec<Thrown>,
    /// How well the candidate spoke, 1 to 4; only a partner can judge it.
    pub communication: Option<u32>,
    /// What the partner adds in words.
    pub note: String,
    /// Whether the partner's marks are final.
    pub is_handed_in: bool,
    /// The session that follows with the roles swapped. It is kept before that is made, so that two requests make one session.
    pub swap: Option<FreshSession>,
}

impl Pair {
    /// A partner who has done nothing yet.
    pub fn new(keys: LinkKeys, is_guest: bool) -> Self {
        Self {
            keys,
            is_guest,
            ticks: Vec::new(),
            thrown: Vec::new(),
            communication: None,
            note: String::new(),
            is_handed_in: false,
            swap: None,
        }
    }
}

/// What part of the session the partner is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartnerStage {
    /// Before the clock starts.
    Ready,
    /// The interview.
    Interview,
    /// The interview is over; the marks are not handed in.
    Marking,
    /// The marks are handed in, and the candidate's are not.
    Waiting,
    /// Both have handed in.
    Done,
    /// The candidate did not wait for the partner's marks.
    Closed,
}

/// What the partner's page can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum PartnerCommand {
    /// A follow-up was read aloud.
    Ask {
        /// The question.
        question: String,
    },
    /// The last follow-up has been answered.
    Answered,
    /// An observable was shown, now.
    Tick {
        /// The observable.
        observable: String,
    },
    /// Take a mark back.
    Untick {
        /// The observable.
        observable: String,
    },
    /// Surprise the candidate.
    Throw {
        /// The curveball.
        curveball: String,
    },
    /// Replace the marks, after the interview.
    Mark {
        /// All marks.
        ticks: Vec<Tick>,
        /// 1 to 4.
        communication: Option<u32>,
        /// In words.
        note: String,
    },
    /// The marks are final.
    HandIn,
}

/// The curveballs that a partner can use: those of the cut, but not the one of the last phase.
pub fn curveballs<'a>(content: &'a Content, session: &Session) -> impl Iterator<Item = &'a Curveball> {
    let (cut, drawn) = (session.setup.cut.clone(), session.drawn.curveball.clone());
    content.curveballs.iter().filter(move |ball| is_for(&ball.cuts, &cut) && ball.id != drawn)
}

impl Session {
    /// Whether the candidate came by a link.
    pub fn is_of_guest(&self) -> bool {
        self.pair.as_ref().is_some_and(|pair| pair.is_guest)
    }

    /// Whether the candidate's page has given a sign of life lately.
    pub fn candidate_is_present(&self, at: MachineTime) -> bool {
        at.seconds_since(self.clock.last_sign) < INTERRUPTION_S
    }

    /// What part of the session the partner is in; `None` without a partner.
    pub fn partner_stage(&self) -> Option<PartnerStage> {
        let is_handed_in = self.pair.as_ref()?.is_handed_in;
        Some(match (self.stage, is_handed_in) {
            (Stage::Ready, _) => PartnerStage::Ready,
            (Stage::Interview, _) => PartnerStage::Interview,
            (Stage::Done, true) => PartnerStage::Done,
            (Stage::Done, false) => PartnerStage::Closed,
            (_, true) => PartnerStage::Waiting,
            (_, false) => PartnerStage::Marking,
        })
    }

    /// Executes a command of the partner. It moves no clock: that is the candidate's.
    ///
    /// # Errors
    /// Why it is refused. Nothing has changed.
    pub fn execute_partner(&mut self, content: &Content, command: PartnerCommand, at: MachineTime) -> Applied {
        let stage = self.partner_stage().ok_or_else(no_partner)?;
        let now_s = u32::try_from(self.elapsed_ms_at(at) / 1_000).unwrap_or(u32::MAX);
        let state = |why: &str| Err(Refused::State(why.to_owned()));
        match (stage, command) {
            (PartnerStage::Ready, _) => state("The clock has not started."),
            (PartnerStage::Closed, _) => state("The candidate has closed the session without your marks."),
            (PartnerStage::Waiting | PartnerStage::Done, PartnerCommand::HandIn) => Ok(()),
            (PartnerStage::Waiting | PartnerStage::Done, _) => {
                state("Your marks are handed in. They do not change any more.")
            }
            // A tick that was made in the last second of the interview may arrive after it.
            (_, PartnerCommand::Tick { observable }) => self.tick(content, observable, now_s),
            (_, PartnerCommand::Untick { observable }) => {
                self.pair_mut()?.ticks.retain(|tick| tick.observable != observable);
                Ok(())
            }
            (PartnerStage::Interview, PartnerCommand::Ask { question }) => self.ask(content, question, now_s),
            (PartnerStage::Interview, PartnerCommand::Answered) => {
                self.answer_open_prompt(now_s);
                Ok(())
            }
            (PartnerStage::Interview, PartnerCommand::Throw { curveball }) => self.throw(content, curveball, now_s),
            (PartnerStage::Interview, _) => state("Marks are handed in after the interview. Tick now, and look later."),
            (PartnerStage::Marking, PartnerCommand::Mark { ticks, communication, note }) => {
                self.mark_as_partner(content, ticks, (communication, note))
            }
            (PartnerStage::Marking, PartnerCommand::HandIn) => self.hand_in(),
            (PartnerStage::Marking, _) => state("The interview is over. Only marks can change."),
        }
    }

    fn pair_mut(&mut self) -> Result<&mut Pair, Refused> {
        self.pair.as_mut().ok_or_else(no_partner)
    }

    /// The first time counts: a command that is sent twice changes nothing.
    fn tick(&mut self, content: &Content, observable: String, now_s: u32) -> Applied {
        let Some(probe) = expected(content, self).find(|one| one.id == observable).map(|one| one.probe.as_str()) else {
            return Err(Refused::Field("observable", "does not count in this session".to_owned()));
        };
        let shown = if probed_at(self, probe).is_some() { Shown::Probed } else { Shown::Unprompted };
        let ticks = &mut self.pair_mut()?.ticks;
        if ticks.iter().all(|tick| tick.observable != observable) {
            ticks.push(Tick { observable, shown, card: None, at_s: Some(now_s) });
        }
        Ok(())
    }

    fn ask(&mut self, content: &Content, question: String, now_s: u32) -> Applied {
        if self.prompts.iter().any(|asked| asked.question == question) {
            return Ok(());
        }
        let phase = self.current().ok_or_else(no_partner)?;
        let upcoming = prompts::upcoming(content, self, phase).map_err(|why| Refused::State(why.to_owned()))?;
        if upcoming.iter().all(|one| one.id != question) {
            return Err(Refused::Field("question", "is none of this phase".to_owned()));
        }
        self.answer_open_prompt(now_s);
        self.prompts.push(AskedPrompt { question, phase, asked_s: now_s, answered_s: None });
        Ok(())
    }

    fn throw(&mut self, content: &Content, curveball: String, now_s: u32) -> Applied {
        if curveballs(content, self).all(|ball| ball.id != curveball) {
            return Err(Refused::Field("curveball", "is none that you can use in this session".to_owned()));
        }
        let phase = self.current().ok_or_else(no_partner)?;
        let thrown = &mut self.pair_mut()?.thrown;
        if thrown.iter().any(|own| own.curveball == curveball) {
            return Ok(());
        }
        if thrown.len() >= THROWN_MAX {
            return Err(Refused::State(format!("A session has at most {THROWN_MAX} curveballs of the partner.")));
        }
        thrown.push(Thrown { curveball, phase, at_s: now_s });
        Ok(())
    }

    fn mark_as_partner(
        &mut self,
        content: &Content,
        ticks: Vec<Tick>,
        (communication, note): (Option<u32>, String),
    ) -> Applied {
        check_ticks(content, self, &ticks)?;
        if communication.is_some_and(|points| !(1..=COMMUNICATION_MAX).contains(&points)) {
            return Err(Refused::Field("communication", format!("must be 1 to {COMMUNICATION_MAX}")));
        }
        if note.chars().count() > NOTE_CHARS_MAX {
            return Err(Refused::Field("note", format!("must have at most {NOTE_CHARS_MAX} characters")));
        }
        if note.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Err(Refused::Field("note", "must have no control characters".to_owned()));
        }
        let pair = self.pair_mut()?;
        (pair.ticks, pair.communication, pair.note) = (ticks, communication, note);
        Ok(())
    }

    fn hand_in(&mut self) -> Applied {
        self.pair_mut()?.is_handed_in = true;
        if self.stage == Stage::Waiting {
            self.stage = Stage::Done;
        }
        Ok(())
    }

    /// Moves what the partner did to the clock's second: it was noted between two signs of life of the candidate, and the clock
    /// may have stood still since.
    pub(super) fn limit_partner_times(&mut self) {
        let now_s = self.elapsed_s();
        let Some(pair) = &mut self.pair else { return };
        for asked in &mut self.prompts {
            asked.asked_s = asked.asked_s.min(now_s);
            asked.answered_s = asked.answered_s.map(|answered_s| answered_s.min(now_s));
        }
        for tick in &mut pair.ticks {
            tick.at_s = tick.at_s.map(|at_s| at_s.min(now_s));
        }
        for thrown in &mut pair.thrown {
            thrown.at_s = thrown.at_s.min(now_s);
        }
    }

    /// Returns the candidate's sessions before this one, among `all`, which has the newest first. The user of this machine is the
    /// candidate of every session that is no guest's. A guest is known by the swaps that led here; other guests are other people.
    pub fn earlier<'a>(&'a self, all: &'a [Self]) -> Vec<&'a Self> {
        if !self.is_of_guest() {
            return all.iter().filter(|one| one.id < self.id && !one.is_of_guest()).collect();
        }
        let (mut id, mut found) = (self.id.as_str(), Vec::new());
        for one in all {
            let swap = one.pair.as_ref().and_then(|pair| pair.swap.as_ref());
            if swap.is_some_and(|swap| swap.id == id) {
                id = &one.id;
                if one.is_of_guest() {
                    found.push(one);
                }
            }
        }
        found
    }

    /// Returns the session that follows with the roles swapped: `fresh`, unless there is one already.
    ///
    /// # Errors
    /// If the session is not done, or has no partner.
    pub fn swap(&mut self, fresh: FreshSession) -> Result<FreshSession, Refused> {
        if self.stage != Stage::Done {
            return Err(Refused::State("The roles are swapped after the report.".to_owned()));
        }
        Ok(self.pair_mut()?.swap.get_or_insert(fresh).clone())
    }

    /// Makes the session that follows: the partner is the candidate, and the cut is the next one.
    pub fn swapped(&self, content: &Content, swap: &FreshSession) -> Self {
        let setup = Setup { cut: next_cut(content, &self.setup.cut), seed: swap.seed, ..self.setup.clone() };
        let pair = Pair::new(swap.keys.clone(), !self.is_of_guest());
        Self { pair: Some(pair), ..Self::new(content, swap.id.clone(), setup, swap.created_at) }
    }
}

fn no_partner() -> Refused {
    Refused::State("This session has no partner.".to_owned())
}

/// The cut after this one; after the last comes the first.
fn next_cut(content: &Content, cut: &str) -> String {
    let cuts = &content.session.cut;
    let at = cuts.iter().position(|own| own.id == cut).map_or(0, |at| at + 1);
    cuts.get(at).or_else(|| cuts.first()).map_or_else(|| cut.to_owned(), |next| next.id.clone())
}
