//! Prints the steps and the result, for people or for programs.

use std::fmt;

use serde_json::{Map, Value, json};

/// Prints lines.
pub type Print = Box<dyn FnMut(&str) + Send>;

/// Reports steps as text or as lines of JSON.
pub(crate) struct Reporter {
    print: Print,
    json: bool,
    steps: u32,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("json", &self.json).field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// A call and its response.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// What the call does.
    pub what: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    /// Duration in milliseconds, with the time of polling.
    pub ms: u128,
    /// Identifies the call in the log and in the sandbox.
    pub trace_id: &'a str,
}

impl Reporter {
    pub fn new(print: Print, json: bool) -> Self {
        Self { print, json, steps: 0 }
    }

    pub fn step(&mut self, step: &Step<'_>) {
        self.steps += 1;
        let Step { what, method, path, status, ms, trace_id } = step;
        let line = if self.json {
            let number = self.steps;
            json!({"step": number, "what": what, "method": method, "path": path, "status": status, "ms": ms,
                   "trace_id": trace_id})
            .to_string()
        } else {
            format!("{:>3}  {what:<48}  {status}  {ms:>5} ms  {method} {path}", self.steps)
        };
        (self.print)(&line);
    }

    /// Reports the event and the ids of what it affected.
    pub fn end(&mut self, event: &str, ids: &Map<String, Value>) {
        if self.json {
            (self.print)(&json!({"event": event, "steps": self.steps, "ids": ids}).to_string());
            return;
        }
        (self.print)(&format!("\n{event}"));
        for (name, id) in ids {
            (self.print)(&format!("  {name:<10}{}", id.as_str().unwrap_or_default()));
        }
    }
}
