//! The course of a game day, kept in a file.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use launcher::files;
use serde::{Deserialize, Serialize};

/// The most entries; a game day has some hundreds.
const ENTRIES_MAX: usize = 5_000;

/// The longest text of an entry, in characters.
const TEXT_MAX: usize = 4_000;

/// The roles of an incident, as in Google's *Site Reliability Engineering*, chapter 14, and a scribe.
pub const ROLES: [&str; 4] = ["Incident commander", "Operations", "Communications", "Scribe"];

/// What the facilitator knows beforehand.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Script {
    /// The number and the title of the drill.
    pub title: String,
    /// The cause, in one sentence.
    pub cause: String,
    /// The hints, from the vaguest.
    pub hints: Vec<String>,
    /// The second ticket.
    pub second_ticket: String,
    /// Questions of the debriefing.
    pub debrief: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Seconds since the start of the drill.
    pub at_s: u32,
    /// The role or the name of the person; "facilitator", or "system".
    pub by: String,
    /// What it is.
    pub kind: Kind,
    /// The words.
    pub text: String,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The game began.
    Start,
    /// A status update of the responders.
    Update,
    /// What the responders take for the cause.
    Diagnosis,
    /// An action: a mitigation, a fix, a repair.
    Action,
    /// Evidence that was pinned.
    Pin,
    /// A query of the responders.
    Sql,
    /// A hint that the facilitator released.
    Hint,
    /// The second ticket.
    Ticket,
    /// Who has which role.
    Role,
    /// A note of the facilitator. The responders do not see it.
    Observation,
    /// An answer of the debriefing.
    Debrief,
    /// The game ended.
    End,
}

impl Kind {
    /// Whether the responders see such entries.
    fn is_open(self) -> bool {
        !matches!(self, Self::Observation | Self::Debrief)
    }

    /// Whether responders may add such entries.
    pub fn is_theirs(self) -> bool {
        matches!(self, Self::Update | Self::Diagnosis | Self::Action)
    }
}

/// An act of the facilitator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "act")]
pub enum Act {
    /// Shows the next hint to the responders.
    ReleaseHint,
    /// Shows the second ticket to the responders.
    InjectTicket,
    /// Gives a role to a person.
    AssignRole {
        /// One of [`ROLES`].
        role: String,
        /// The person.
        person: String,
    },
    /// Keeps a note that the responders do not see.
    Observe {
        /// The note.
        text: String,
    },
    /// Keeps an answer of the debriefing.
    Answer {
        /// The number of the question, from 0.
        question: usize,
        /// The answer.
        text: String,
    },
    /// Ends the game.
    End,
}

/// What a page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// Entries, the oldest first.
    pub entries: Vec<Entry>,
    /// Who has which role.
    pub roles: BTreeMap<String, String>,
    /// The roles there are.
    pub all_roles: [&'static str; 4],
    /// Hints not yet released.
    pub hints_left: usize,
    /// Whether the second ticket is out.
    pub has_second_ticket: bool,
    /// Whether the game has ended.
    pub has_ended: bool,
    /// What only the facilitator sees.
    pub script: Option<Script>,
}

/// A game day.
#[derive(Debug)]
pub struct Game {
    script: Script,
    key: String,
    file: PathBuf,
    entries: Mutex<Vec<Entry>>,
}

impl Game {
    /// Opens a game, or continues the one in the file. `key` is what the facilitator's address carries.
    ///
    /// # Errors
    /// The file cannot be read, or holds no game. It is left as it is.
    pub fn open(script: Script, key: String, file: PathBuf) -> io::Result<Self> {
        let entries = files::read_json(&file)?.unwrap_or_default();
        Ok(Self { script, key, file, entries: Mutex::new(entries) })
    }

    /// Whether this is the facilitator's key. The time of the comparison does not depend on where the two differ.
    pub fn is_facilitator(&self, key: &str) -> bool {
        let differences = self.key.bytes().zip(key.bytes()).fold(0, |found, (one, other)| found | (one ^ other));
        self.key.len() == key.len() && differences == 0
    }

    /// Returns what a page shows.
    pub fn shown(&self, to_facilitator: bool) -> Shown {
        let entries = self.entries();
        let count = |kind: Kind| entries.iter().filter(|entry| entry.kind == kind).count();
        let roles = entries.iter().filter(|entry| entry.kind == Kind::Role);
        let roles = roles.filter_map(|entry| entry.text.split_once(": "));
        Shown {
            roles: roles.map(|(role, person)| (role.to_owned(), person.to_owned())).collect(),
            all_roles: ROLES,
            hints_left: self.script.hints.len().saturating_sub(count(Kind::Hint)),
            has_second_ticket: count(Kind::Ticket) > 0,
            has_ended: count(Kind::End) > 0,
            entries: entries.iter().filter(|entry| to_facilitator || entry.kind.is_open()).cloned().collect(),
            script: to_facilitator.then(|| self.script.clone()),
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written. Then the entry is not kept, and the earlier file stays.
    pub fn add(&self, entry: Entry) -> io::Result<()> {
        let mut entries = self.entries();
        let mut more = entries.clone();
        more.push(Entry { text: entry.text.chars().take(TEXT_MAX).collect(), ..entry });
        if more.len() > ENTRIES_MAX {
            return Err(io::Error::other(format!("a game has at most {ENTRIES_MAX} entries")));
        }
        files::replace_json(&self.file, &more)?;
        *entries = more;
        Ok(())
    }

    /// Does what the facilitator asks for. Returns what is wrong with it otherwise.
    ///
    /// # Errors
    /// There is no further hint, no such role or question, no second ticket, or the file cannot be written.
    pub fn act(&self, at_s: u32, act: Act) -> io::Result<()> {
        let shown = self.shown(true);
        let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let (kind, text) = match act {
            Act::ReleaseHint => match self.script.hints.get(self.script.hints.len() - shown.hints_left) {
                Some(hint) => (Kind::Hint, hint.clone()),
                None => return refuse("every hint has been released"),
            },
            Act::InjectTicket if shown.has_second_ticket => return refuse("the second ticket is out already"),
            Act::InjectTicket if self.script.second_ticket.is_empty() => {
                return refuse("this drill has no second ticket");
            }
            Act::InjectTicket => (Kind::Ticket, self.script.second_ticket.clone()),
            Act::AssignRole { role, .. } if !ROLES.contains(&role.as_str()) => {
                return refuse(&format!("there is no role {role}; the roles are {}", ROLES.join(", ")));
            }
            Act::AssignRole { role, person } => (Kind::Role, format!("{role}: {}", person.trim())),
            Act::Observe { text } => (Kind::Observation, text),
            Act::Answer { question, text } => match self.script.debrief.get(question) {
                Some(question) => (Kind::Debrief, format!("{question}\n{text}")),
                None => return refuse("there is no such question"),
            },
            Act::End if shown.has_ended => return refuse("the game has ended already"),
            Act::End => (Kind::End, "The facilitator ended the game.".to_owned()),
        };
        self.add(Entry { at_s, by: "facilitator".to_owned(), kind, text })
    }

    /// Returns the report of the team, as Markdown.
    pub fn report(&self) -> String {
        super::report::markdown(&self.shown(true), &self.script)
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(folder: &tempfile::TempDir) -> Game {
        let script = Script {
            title: "Drill 1".to_owned(),
            cause: "A cause.".to_owned(),
            hints: vec!["first".to_owned(), "second".to_owned()],
            second_ticket: "Me too.".to_owned(),
            debrief: vec!["What helped?".to_owned()],
        };
        Game::open(script, "key".to_owned(), folder.path().join("game.json")).expect("a new game")
    }

    #[test]
    fn hints_come_in_order_and_end() {
        let folder = tempfile::tempdir().expect("a directory");
        let game = game(&folder);
        game.act(1, Act::ReleaseHint).expect("the first");
        game.act(2, Act::ReleaseHint).expect("the second");
        assert!(game.act(3, Act::ReleaseHint).is_err());
        let texts: Vec<String> = game.shown(false).entries.into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, ["first", "second"]);
        assert_eq!(game.shown(false).hints_left, 0);
    }

    #[test]
    fn responders_see_neither_script_nor_observations() {
        let folder = tempfile::tempdir().expect("a directory");
        let game = game(&folder);
        game.act(1, Act::Observe { text: "they guess".to_owned() }).expect("kept");
        game.act(2, Act::Answer { question: 0, text: "the log".to_owned() }).expect("kept");
        let seen = game.shown(false);
        assert!(seen.script.is_none() && seen.entries.is_empty());
        let all = game.shown(true);
        assert_eq!((all.script.expect("the script").cause.as_str(), all.entries.len()), ("A cause.", 2));
    }

    #[test]
    fn game_continues_after_a_restart() {
        let folder = tempfile::tempdir().expect("a directory");
        game(&folder).act(1, Act::AssignRole { role: "Scribe".to_owned(), person: " Ana ".to_owned() }).expect("kept");
        assert_eq!(game(&folder).shown(false).roles["Scribe"], "Ana");
        assert!(game(&folder).act(2, Act::AssignRole { role: "Boss".to_owned(), person: "Ana".to_owned() }).is_err());
    }

    #[test]
    fn only_the_whole_key_is_the_facilitators() {
        let folder = tempfile::tempdir().expect("a directory");
        let game = game(&folder);
        assert!(game.is_facilitator("key"));
        for other in ["", "ke", "keys", "kez"] {
            assert!(!game.is_facilitator(other), "{other}");
        }
    }

    #[test]
    fn second_ticket_and_end_happen_once() {
        let folder = tempfile::tempdir().expect("a directory");
        let game = game(&folder);
        for act in [Act::InjectTicket, Act::End] {
            game.act(1, act.clone()).expect("the first time");
            assert!(game.act(2, act).is_err());
        }
        assert!(game.report().contains("Me too."));
    }
}
