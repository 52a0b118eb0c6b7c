//! The session of an actor.

use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::sync::lock;

use super::call::AttemptError;
use super::{CallError, Client};

/// The role of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Rider,
    Driver,
    Ops,
}

/// A role, a subject and their token. The token is kept until the service rejects it.
#[derive(Debug)]
pub(crate) struct Session {
    role: Role,
    subject: Option<String>,
    token: Mutex<Option<Arc<str>>>,
}

impl Session {
    /// Without a subject the service generates one.
    pub fn new(role: Role, subject: Option<String>) -> Self {
        Self { role, subject, token: Mutex::new(None) }
    }

    /// The name in messages and in the seeds of back-offs.
    pub fn name(&self) -> &str {
        self.subject.as_deref().unwrap_or("ops")
    }

    /// The token, requested at the first use. Concurrent callers may request two tokens; both are valid.
    ///
    /// # Errors
    /// The service returns no token.
    pub async fn token(&self, client: &Client) -> Result<Arc<str>, CallError> {
        if let Some(token) = lock(&self.token).clone() {
            return Ok(token);
        }
        let token: Arc<str> = client.new_token(self.role, self.subject.as_deref()).await?.into();
        *lock(&self.token) = Some(token.clone());
        Ok(token)
    }

    /// Removes the token if it was rejected, unless there is a newer one.
    pub(super) fn discard_token_if_rejected<T>(&self, used: &str, response: &Result<T, AttemptError>) {
        let mut token = lock(&self.token);
        if matches!(response, Err(AttemptError::TokenRejected)) && token.as_deref() == Some(used) {
            *token = None;
        }
    }
}
