//! `hint`.

use serde_json::json;

use super::{Context, Output};
use crate::{
    Result,
    session::{Lock, Session},
};

/// Shows the next hint, and counts it.
pub(super) fn run(context: &Context) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "hint")?;
    let mut session = Session::started(&context.paths)?;
    let pack = context.drill(&session)?.pack()?;
    let shown = session.hints.min(pack.hint.len());
    // After the end hints cost nothing any more.
    let count = if session.hints < pack.hint.len() { shown + 1 } else { shown };
    session.hints = count;
    session.write(&context.paths)?;
    let line = |at: usize| pack.hint.get(at).map(|hint| format!("{}. {}", at + 1, hint.text.trim()));
    let mut text: String = (0..count).filter_map(line).collect::<Vec<_>>().join("\n");
    if count == shown {
        text.push_str("\n\nThere is no further hint; `cargo drill reveal` shows the answer.");
    }
    let hints: Vec<_> =
        pack.hint.iter().take(count).map(|hint| json!({ "kind": hint.kind, "text": hint.text })).collect();
    Ok(Output::of(text, json!({ "hints": hints, "left": pack.hint.len() - count })))
}
