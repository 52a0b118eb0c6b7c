//! What is told of each step, to people or to programs.

use serde_json::{Map, Value, json};

/// Tells steps on standard output.
#[derive(Debug)]
pub(crate) struct Told {
    json: bool,
    steps: u32,
}

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// What it was for.
    pub what: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    /// Milliseconds; with the time that was waited, if it was.
    pub ms: u128,
    /// Finds the call in the log, and its SQL in the sandbox.
    pub trace_id: &'a str,
}

impl Told {
    pub fn new(json: bool) -> Self {
        Self { json, steps: 0 }
    }

    pub fn step(&mut self, step: &Step<'_>) {
        self.steps += 1;
        let Step { what, method, path, status, ms, trace_id } = step;
        if self.json {
            let number = self.steps;
            let line = json!({"step": number, "what": what, "method": method, "path": path, "status": status, "ms": ms,
                              "trace_id": trace_id});
            println!("{line}");
        } else {
            println!("{:>3}  {what:<48}  {status}  {ms:>5} ms  {method} {path}", self.steps);
        }
    }

    pub fn end(&self, event: &str, ids: &Map<String, Value>) {
        if self.json {
            println!("{}", json!({"event": event, "steps": self.steps, "ids": ids}));
            return;
        }
        println!("\n{event}");
        for (name, id) in ids {
            println!("  {name:<10}{}", id.as_str().unwrap_or_default());
        }
    }
}
