//! The links of a session for two: a link names a session and a role in it, and its secret is the authorization. Pure.

use crate::platform::auth::constant_time_eq;

use super::session::{LinkKeys, Session};

/// The bytes of a secret: 128 bits cannot be guessed.
pub const KEY_BYTES: usize = 16;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The interviewer.
    Partner,
    /// The candidate, on another machine.
    Candidate,
}

impl Role {
    /// The name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Candidate => "candidate",
        }
    }

    fn key(self, keys: &LinkKeys) -> &str {
        match self {
            Self::Partner => &keys.partner,
            Self::Candidate => &keys.candidate,
        }
    }
}

/// A link that a page was opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    role: Role,
    session: String,
    key: String,
}

impl Link {
    /// Reads the end of an address, the session's id and the secret; `None` if it cannot be one.
    pub fn parse(role: Role, token: &str) -> Option<Self> {
        let (session, key) = token.rsplit_once('-')?;
        Some(Self { role, session: session.to_owned(), key: key.to_owned() })
    }

    /// The session that it names. Whether that exists, and has this secret, is not known yet.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Whether its secret is that of the session, for its role.
    pub fn opens(&self, session: &Session) -> bool {
        let keys = session.pair.as_ref().map(|pair| &pair.keys);
        keys.is_some_and(|keys| constant_time_eq(self.role.key(keys).as_bytes(), self.key.as_bytes()))
    }
}

/// The path of the page of a role.
pub fn path_of(role: Role, session: &str, keys: &LinkKeys) -> String {
    format!("/rehearse/{}/{session}-{}", role.name(), role.key(keys))
}
