//! The page: what the on-call engineer gets first, and what can be done next.

use serde_json::{Value, json};

use super::{Context, serve::Running};
use crate::{
    pack::{Card, Drill},
    session::Session,
};

/// Returns the page as text.
pub(super) fn text(context: &Context, drill: &Drill, session: &Session, running: Option<&Running>) -> String {
    let Card { severity, page, ticket, minutes, level, .. } = &drill.card;
    let severity = serde_json::to_value(severity).unwrap_or_default();
    let severity = severity.as_str().unwrap_or_default();
    let about = if session.blind {
        "blind".to_owned()
    } else {
        format!("drill {}: {} · level {level} · {minutes} min", drill.number, drill.card.title)
    };
    let tree = context.paths.tree();
    let running = running.map_or_else(
        || "The service is not running; `try` and `check` run it.".to_owned(),
        |running| {
            format!(
                "It runs under load at {} (`cargo drill observe access` has tokens).{}",
                running.service,
                pages(running)
            )
        },
    );
    let ticket: String = ticket.trim().lines().map(|line| format!("   {line}\n")).collect();
    format!(
        "PAGE {severity}  {page}\n\nTicket:\n{ticket}\n{about}\n\
         The tree is {tree}\n{running}\n\n\
         Look       cargo drill observe            alert, logs, metrics, slow requests, deploys, database\n\
         Say        cargo drill diagnose           component, mechanism, evidence\n\
         Stop harm  cargo drill mitigate           before the fix\n\
         Repair     edit the tree; git log, bisect and revert work in it\n\
         Judge      cargo drill try                one seed\n           cargo drill check              ten seeds and everything else\n\
         Stuck      cargo drill hint",
        tree = tree.display(),
    )
}

/// The addresses of the pages in the browser.
fn pages(running: &Running) -> String {
    let Some(pages) = &running.pages else { return String::new() };
    match &pages.facilitator {
        None => format!("\nIn the browser: {}", pages.drill),
        Some(facilitator) => {
            format!("\nResponders:  {}\nFacilitator: {facilitator} (keep it to yourself)", pages.drill)
        }
    }
}

/// Returns the page for a program.
pub(super) fn json(context: &Context, drill: &Drill, session: &Session, running: Option<&Running>) -> Value {
    let card = &drill.card;
    let shown = |value: Value| if session.blind { Value::Null } else { value };
    json!({
        "number": shown(json!(drill.number)), "title": shown(json!(card.title)), "level": shown(json!(card.level)),
        "topic": shown(json!(card.topic)), "minutes": card.minutes, "severity": card.severity, "page": card.page,
        "ticket": card.ticket, "tree": context.paths.tree(), "commit": session.commit,
        "address": running.map(|running| &running.service),
        "page_address": running.and_then(|running| Some(&running.pages.as_ref()?.drill)),
        "facilitator_address": running.and_then(|running| running.pages.as_ref()?.facilitator.as_ref()),
        "started_at": session.started_at,
    })
}
