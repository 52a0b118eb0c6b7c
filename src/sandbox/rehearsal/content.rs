//! The content of rehearsals: the files of the folder `rehearsal/`, embedded and parsed. [`super::check`] says what is wrong with
//! them.

mod items;
mod session_file;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use items::{
    Bet, Canned, Communication, Constraint, Curveball, Day, Dimension, Estimate, Gate, MarkingFile, Observable,
    PartnerFile, Question, Rule, Silence, Weight,
};
pub use session_file::{CardKind, Cut, Dive, Level, Phase, SessionFile};

/// Everything that can be asked, drawn and marked.
#[derive(Debug, Clone)]
pub struct Content {
    /// The question, cuts, levels and phases.
    pub session: SessionFile,
    /// The constraint cards.
    pub constraints: Vec<Constraint>,
    /// The follow-ups.
    pub questions: Vec<Question>,
    /// What a session can show.
    pub observables: Vec<Observable>,
    /// The answers that are marked before one's own.
    pub canned: Vec<Canned>,
    /// Dimensions, gates and the pass mark.
    pub marking: MarkingFile,
    /// The rules for endpoints and tables.
    pub rules: Vec<Rule>,
    /// The curveballs.
    pub curveballs: Vec<Curveball>,
    /// The predictions that labs settle.
    pub bets: Vec<Bet>,
    /// The plan for 14 days.
    pub plan: Vec<Day>,
    /// The numbers that are asked.
    pub estimates: Vec<Estimate>,
    /// What a partner reads.
    pub partner: PartnerFile,
}

macro_rules! embedded {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../rehearsal/", $name)))
    };
}

fn parse<T: for<'de> Deserialize<'de>>((name, text): (&str, &str)) -> Result<T, String> {
    toml::from_str(text).map_err(|error| format!("rehearsal/{name}: {error}"))
}

/// Reads a file that is a list under one name.
fn parse_list<T: for<'de> Deserialize<'de>>(file: (&str, &str)) -> Result<Vec<T>, String> {
    let lists: BTreeMap<String, Vec<T>> = parse(file)?;
    Ok(lists.into_values().flatten().collect())
}

impl Content {
    /// Parses the embedded files.
    ///
    /// # Errors
    /// The first file that cannot be parsed.
    pub fn embedded() -> Result<Self, String> {
        Ok(Self {
            session: parse(embedded!("session.toml"))?,
            constraints: parse_list(embedded!("constraints.toml"))?,
            questions: parse_list(embedded!("questions.toml"))?,
            observables: parse_list(embedded!("observables.toml"))?,
            canned: parse_list(embedded!("canned.toml"))?,
            marking: parse(embedded!("dimensions.toml"))?,
            rules: parse_list(embedded!("rules.toml"))?,
            curveballs: parse_list(embedded!("curveballs.toml"))?,
            bets: parse_list(embedded!("bets.toml"))?,
            plan: parse_list(embedded!("plan.toml"))?,
            estimates: parse_list(embedded!("estimates.toml"))?,
            partner: parse(embedded!("partner.toml"))?,
        })
    }

    /// The cut with this id.
    pub fn cut(&self, id: &str) -> Option<&Cut> {
        self.session.cut.iter().find(|cut| cut.id == id)
    }

    /// The level with this id.
    pub fn level(&self, id: &str) -> Option<&Level> {
        self.session.level.iter().find(|level| level.id == id)
    }

    /// The question with this id.
    pub fn question(&self, id: &str) -> Option<&Question> {
        self.questions.iter().find(|question| question.id == id)
    }

    /// The observable with this id.
    pub fn observable(&self, id: &str) -> Option<&Observable> {
        self.observables.iter().find(|observable| observable.id == id)
    }

    /// The bet of this lab.
    pub fn bet(&self, lab: &str) -> Option<&Bet> {
        self.bets.iter().find(|bet| bet.lab == lab)
    }

    /// The estimate with this id.
    pub fn estimate(&self, id: &str) -> Option<&Estimate> {
        self.estimates.iter().find(|estimate| estimate.id == id)
    }

    /// The curveball with this id.
    pub fn curveball(&self, id: &str) -> Option<&Curveball> {
        self.curveballs.iter().find(|ball| ball.id == id)
    }

    /// The canned answer with this id.
    pub fn canned(&self, id: &str) -> Option<&Canned> {
        self.canned.iter().find(|canned| canned.id == id)
    }
}

/// Whether something with these cuts is for a cut. No cut means all.
pub fn is_for(cuts: &[String], cut: &str) -> bool {
    cuts.is_empty() || cuts.iter().any(|own| own == cut)
}
