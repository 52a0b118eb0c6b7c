//! The files of sessions: one JSON file each, replaced as a whole, with its report beside it. A file that cannot be read is kept
//! aside.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use launcher::files;
use serde::Serialize;

use crate::platform::clock::MachineTime;

use super::content::Content;
use super::links::{Role, path_of};
use super::session::{FORMAT, Session, Stage};

/// The ending of a file that is kept aside.
const ASIDE: &str = "unreadable";

/// The directory of a user's sessions.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Held while a session is read, changed and written.
    change: Mutex<()>,
}

/// Why a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("there is no such session")]
    Missing,
    /// The file cannot be understood; it is kept under another name.
    #[error("{0}")]
    Unreadable(String),
    /// The disk. The error says what was tried, and names the file.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// What a list says of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The session.
    pub id: String,
    /// When it was made.
    pub created_at: MachineTime,
    /// The cut.
    pub cut: String,
    /// The level.
    pub level: String,
    /// The length, minutes.
    pub minutes: u32,
    /// The part that is going on.
    pub stage: Stage,
    /// The points of a finished session.
    pub percent: Option<u32>,
    /// Whether the candidate came by a link: the user of this machine is the partner.
    pub is_guest: bool,
    /// The page of the user of this machine.
    pub path: String,
}

impl Summary {
    /// The summary of a session with these points.
    pub fn of(content: &Content, session: &Session, percent: Option<u32>) -> Self {
        let setup = &session.setup;
        Self {
            id: session.id.clone(),
            created_at: session.created_at,
            cut: content.cut(&setup.cut).map_or_else(|| setup.cut.clone(), |cut| cut.title.clone()),
            level: content.level(&setup.level).map_or_else(|| setup.level.clone(), |level| level.title.clone()),
            minutes: setup.minutes,
            stage: session.stage,
            percent,
            is_guest: session.is_of_guest(),
            path: match session.pair.as_ref().filter(|pair| pair.is_guest) {
                Some(pair) => path_of(Role::Partner, &session.id, &pair.keys),
                None => format!("/rehearse/sessions/{}", session.id),
            },
        }
    }
}

/// All sessions, newest first, and a line for each file that cannot be read.
#[derive(Debug, Default)]
pub struct Listed {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// What is wrong with the others.
    pub unreadable: Vec<String>,
}

impl Store {
    /// The sessions in a directory, which need not exist yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, change: Mutex::new(()) }
    }

    /// Reads all sessions.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> Result<Listed, StoreError> {
        let _held = self.hold();
        let mut listed = Listed::default();
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(listed),
            Err(cause) => return Err(disk("cannot read", &self.folder)(cause)),
        };
        for entry in entries {
            let name = entry.map_err(disk("cannot read", &self.folder))?.file_name().to_string_lossy().into_owned();
            if name.ends_with(ASIDE) {
                listed.unreadable.push(format!(
                    "{name} could not be read and is kept for you; the other sessions are not affected."
                ));
            } else if let Some(id) = name.strip_suffix(".json") {
                match self.read(id) {
                    Ok(session) => listed.sessions.push(session),
                    Err(StoreError::Missing) => {}
                    Err(error) => listed.unreadable.push(error.to_string()),
                }
            }
        }
        listed.sessions.sort_by(|a, b| b.id.cmp(&a.id));
        listed.unreadable.sort();
        Ok(listed)
    }

    /// Reads a session.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn load(&self, id: &str) -> Result<Session, StoreError> {
        let _held = self.hold();
        self.read(id)
    }

    /// Writes a new session.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create(&self, session: &Session) -> Result<(), StoreError> {
        let _held = self.hold();
        self.write(session)
    }

    /// Writes a new session, unless it is there.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn create_if_missing(&self, session: &Session) -> Result<(), StoreError> {
        let _held = self.hold();
        if self.path(&session.id).exists() { Ok(()) } else { self.write(session) }
    }

    /// Reads a session, changes it, and writes it. Changes of one store run one after the other.
    ///
    /// # Errors
    /// As [`Store::load`], or if the disk refuses: then the earlier file is still there.
    pub fn change<T>(&self, id: &str, change: impl FnOnce(&mut Session) -> T) -> Result<(Session, T), StoreError> {
        let _held = self.hold();
        let mut session = self.read(id)?;
        let result = change(&mut session);
        self.write(&session)?;
        Ok((session, result))
    }

    /// Keeps the report of a session beside it. Returns the file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn keep_report(&self, id: &str, report: &str) -> Result<PathBuf, StoreError> {
        let _held = self.hold();
        let path = self.folder.join(format!("{id}.md"));
        files::replace(&path, report.as_bytes())?;
        Ok(path)
    }

    fn hold(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, id: &str) -> Result<Session, StoreError> {
        if !is_id(id) {
            return Err(StoreError::Missing);
        }
        let path = self.path(id);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing),
            Err(cause) => return Err(disk("cannot read", &path)(cause)),
        };
        let why = match serde_json::from_slice::<Session>(&text) {
            Ok(session) if session.format == FORMAT && session.id == id => return Ok(session),
            Ok(_) => "it is of another version of this program, or has another name".to_owned(),
            Err(error) => error.to_string(),
        };
        let aside = self.folder.join(format!("{id}.json.{ASIDE}"));
        fs::rename(&path, &aside).map_err(disk("cannot rename", &path))?;
        Err(StoreError::Unreadable(format!(
            "{} cannot be read ({why}); it is kept as {}",
            path.display(),
            aside.display()
        )))
    }

    fn write(&self, session: &Session) -> Result<(), StoreError> {
        Ok(files::replace_json(&self.path(&session.id), session)?)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// Whether a text can be the name of a session's file: digits, letters and dashes.
fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn disk(what: &str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::Disk(io::Error::new(cause.kind(), format!("{what} {}: {cause}", path.display())))
}
