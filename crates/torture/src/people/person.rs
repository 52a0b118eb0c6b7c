//! Somebody who speaks with the service: asks, keeps at it under one key until there is an answer, and sometimes asks twice.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Town;
use super::record::Meaning;
use crate::dice::dice;

/// The waits between attempts grow from the first to the second.
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Share of commands that are sent twice at the same time, and of answered ones that are sent once more.
const TWICE_AT_ONCE: f64 = 0.08;
const ONCE_MORE: f64 = 0.08;

/// Who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Rider,
    Driver,
    Ops,
}

/// An answer that stands.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Somebody.
#[derive(Debug)]
pub(crate) struct Person {
    pub town: Arc<Town>,
    pub dice: StdRng,
    role: Role,
    name: String,
    token: Option<String>,
    keys: u64,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Driver => "driver",
            Self::Ops => "ops",
        }
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

impl Person {
    pub fn new(town: &Arc<Town>, role: Role, number: u32) -> Self {
        let name = format!("{}-{number}", role.as_str());
        let dice = dice(town.seed, &name);
        Self { town: Arc::clone(town), dice, role, name, token: None, keys: 0 }
    }

    /// Waits for about so long.
    pub async fn wait(&mut self, about: Duration) {
        let share = self.dice.random_range(0.5..1.5);
        tokio::time::sleep(about.mul_f64(share)).await;
    }

    pub async fn get(&mut self, path: &str) -> Option<Answer> {
        let door = self.door();
        self.once(&door, Method::GET, path, None).await
    }

    /// To the matcher, without a key.
    pub async fn put(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let front = self.town.front.clone();
        self.once(&front, Method::PUT, path, Some(body)).await
    }

    /// A POST that needs no key.
    pub async fn post_unkeyed(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let door = self.door();
        self.once(&door, Method::POST, path, Some(body)).await
    }

    /// A command, under a new key, sent again and again until there is an answer that stands; `None` if the town closes first.
    pub async fn command(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let key = self.new_key();
        if self.dice.random_bool(TWICE_AT_ONCE) {
            let (one, other) = (self.keyed(&key, path, body).await?, self.keyed(&key, path, body).await?);
            let (_first, _second) = tokio::join!(self.send(one, &key, path), self.send(other, &key, path));
        }
        let mut wait = WAIT_FIRST;
        loop {
            let request = self.keyed(&key, path, body).await?;
            if let Some(answer) = self.send(request, &key, path).await {
                if answer.is_success() && self.dice.random_bool(ONCE_MORE) {
                    let request = self.keyed(&key, path, body).await?;
                    self.send(request, &key, path).await;
                }
                return Some(answer);
            }
            if self.town.is_closed() {
                return None;
            }
            self.wait(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// A command that is sent once, whatever comes of it.
    pub async fn once_more(&mut self, path: &str, body: &Value) -> Option<Answer> {
        let key = self.new_key();
        let request = self.keyed(&key, path, body).await?;
        self.send(request, &key, path).await
    }

    fn new_key(&mut self) -> String {
        self.keys += 1;
        format!("torture-{}-{}-{}", self.town.seed, self.name, self.keys)
    }

    fn door(&mut self) -> String {
        let door = usize::from(self.dice.random_bool(0.5));
        self.town.doors[door].clone()
    }

    async fn keyed(&mut self, key: &str, path: &str, body: &Value) -> Option<RequestBuilder> {
        let door = self.door();
        let token = self.token().await?;
        let request = self.town.http.post(format!("{door}{path}")).bearer_auth(token);
        Some(request.header("Idempotency-Key", key).json(body))
    }

    /// Sends a command once, for the record; the answer, if it stands.
    async fn send(&self, request: RequestBuilder, key: &str, path: &str) -> Option<Answer> {
        self.town.record.sends(key, &format!("{} POST {path}", self.name));
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.ok()?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default();
        match Meaning::of(status, code) {
            Meaning::Again => None,
            Meaning::Done | Meaning::Refused => {
                self.town.record.hears(key, status, code, &bytes);
                Some(Answer { status, body })
            }
        }
    }

    /// Asks once.
    async fn once(&mut self, door: &str, method: Method, path: &str, body: Option<&Value>) -> Option<Answer> {
        let token = self.token().await?;
        let mut request = self.town.http.request(method, format!("{door}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.json().await.unwrap_or_default();
        Some(Answer { status, body })
    }

    /// The token, asked for until there is one.
    async fn token(&mut self) -> Option<String> {
        while self.token.is_none() {
            let door = self.door();
            let request = self.town.http.post(format!("{door}/v1/sandbox/tokens"));
            let answer = request.json(&json!({ "role": self.role.as_str() })).send().await;
            if let Ok(answer) = answer
                && let Ok(body) = answer.json::<Value>().await
            {
                self.token = body["token"].as_str().map(str::to_owned);
            }
            if self.token.is_none() {
                if self.town.is_closed() {
                    return None;
                }
                self.wait(WAIT_MAX / 4).await;
            }
        }
        self.token.clone()
    }
}
