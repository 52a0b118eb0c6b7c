//! One actor's identity towards the service.

use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::sync::lock;

use super::call::Setback;
use super::{Client, Failure};

/// What an actor is allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Rider,
    Driver,
    Ops,
}

/// A role, a subject and the token that proves them. The token is kept until the service no longer takes it.
#[derive(Debug)]
pub(crate) struct Session {
    role: Role,
    subject: Option<String>,
    token: Mutex<Option<Arc<str>>>,
}

impl Session {
    /// Without a subject the service makes one up.
    pub fn new(role: Role, subject: Option<String>) -> Self {
        Self { role, subject, token: Mutex::new(None) }
    }

    /// Who this is in messages, and in the seeds of back-offs.
    pub fn name(&self) -> &str {
        self.subject.as_deref().unwrap_or("ops")
    }

    /// The token, asked for at the first use. Two callers at once may both ask: both tokens are good.
    ///
    /// # Errors
    /// When the service gives none.
    pub async fn token(&self, client: &Client) -> Result<Arc<str>, Failure> {
        if let Some(token) = lock(&self.token).clone() {
            return Ok(token);
        }
        let token: Arc<str> = client.new_token(self.role, self.subject.as_deref()).await?.into();
        *lock(&self.token) = Some(token.clone());
        Ok(token)
    }

    /// Forgets the token if it was refused, unless another one has come meanwhile.
    pub(super) fn take_back_if_refused<T>(&self, used: &str, answer: &Result<T, Setback>) {
        let mut token = lock(&self.token);
        if matches!(answer, Err(Setback::TokenRefused)) && token.as_deref() == Some(used) {
            *token = None;
        }
    }
}
