//! `observe`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Context, Output, guide, serve};
use crate::{
    Result,
    cli::{Observe, View},
    observe::{LogFilter, database, deploys, logs, metrics},
    session::Session,
    stack::Served,
};

/// Lines of each part of the summary.
const SUMMARY_LINES: usize = 8;

/// Shows what an on-call engineer can see.
pub(super) async fn run(context: &Context, arguments: &Observe) -> Result<Output> {
    let session = Session::started(&context.paths)?;
    match arguments.view {
        View::Summary => {
            let mut output = summary(context, arguments)?;
            output.text.push_str(&guide::next(&session, guide::Done::Observed));
            Ok(output)
        }
        View::Alert => {
            let served = serve::found(context)?;
            let card = context.drill(&session)?.card;
            let figures = served.figures()?;
            let mut text = format!("{}\n\n", card.page);
            for check in &figures.alert {
                let mark = if check.held { "ok" } else { "FIRING" };
                writeln!(text, "{mark:<7} {} Seen: {}; expected: {}", check.what, check.seen, check.expected)?;
            }
            Ok(Output::of(text, json!({ "page": card.page, "alert": figures.alert })))
        }
        View::Ticket => {
            let ticket = context.drill(&session)?.card.ticket;
            Ok(Output::of(ticket.trim(), json!({ "ticket": ticket })))
        }
        View::Logs => shown_logs(&serve::found(context)?, arguments),
        View::Metrics => {
            let figures = serve::found(context)?.figures()?;
            let mut changes = figures.metric_changes(arguments.grep.as_deref().unwrap_or_default());
            changes.truncate(arguments.lines);
            Ok(Output::of(metrics::changes_table(&changes), json!({ "changes": changes })))
        }
        View::Slow => {
            let figures = serve::found(context)?.figures()?;
            let text = grep(&figures.slowest_table(), arguments);
            Ok(Output::of(text, json!({ "slowest": figures.slowest, "operations": figures.operations })))
        }
        View::Deploys => {
            let all = deploys(&context.paths.tree())?;
            let text: String = all.iter().map(|deploy| format!("{deploy}\n")).collect();
            Ok(Output::of(grep(&text, arguments), json!({ "deploys": all })))
        }
        View::Database => {
            let activity = database::activity(&serve::found(context)?.state.database_url).await?;
            Ok(Output::of(activity.to_string(), serde_json::to_value(&activity)?))
        }
        View::Sql => {
            let query =
                arguments.query.as_deref().ok_or("say what to read: `cargo drill observe sql --query 'select …'`")?;
            let rows = database::query(&serve::found(context)?.state.database_url, query).await?;
            Ok(Output::of(rows.to_string(), serde_json::to_value(&rows)?))
        }
        View::Access => access(context, &serve::found(context)?),
    }
}

/// A few lines of each view.
fn summary(context: &Context, arguments: &Observe) -> Result<Output> {
    let served = serve::found(context)?;
    let figures = served.figures()?;
    let filter = LogFilter { last: Some(SUMMARY_LINES), ..LogFilter::default() };
    let lines = logs::read(&served.state.logs, &filter)?;
    let newest: Vec<_> = deploys(&context.paths.tree())?.into_iter().take(SUMMARY_LINES).collect();
    let mut text = format!("{}\n\nWarnings and errors of the log:\n", grep(&figures.to_string(), arguments));
    if lines.is_empty() {
        text.push_str("  none\n");
    }
    for line in &lines {
        writeln!(text, "  {line}")?;
    }
    text.push_str("\nDeploys, newest first:\n");
    for deploy in &newest {
        writeln!(text, "  {} {}", deploy.commit, deploy.subject)?;
    }
    text.push_str(
        "\nMore: cargo drill observe alert | ticket | logs | metrics | slow | deploys | database | sql --query … | access\n\
         `--grep TEXT` looks for an id or a word, `-n` shows more lines.",
    );
    Ok(Output::of(text, json!({ "figures": figures, "log": lines, "deploys": newest })))
}

/// Lines of the log: with --grep at all levels, else warnings and errors.
fn shown_logs(served: &Served, arguments: &Observe) -> Result<Output> {
    let filter = LogFilter {
        id: None,
        pattern: arguments.grep.as_deref().map(|text| format!("(?i){}", regex::escape(text))),
        all_levels: arguments.grep.is_some(),
        last: Some(arguments.lines),
    };
    let lines = logs::read(&served.state.logs, &filter)?;
    let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if lines.is_empty() {
        text = match &arguments.grep {
            Some(wanted) => format!("no line contains {wanted}"),
            None => "no warnings and no errors; `--grep TEXT` searches all levels".to_owned(),
        };
    }
    let files: String = served.state.logs.iter().map(|log| format!("\n{}", log.display())).collect();
    Ok(Output::of(format!("{}\n{files}", text.trim_end()), json!({ "lines": lines, "files": served.state.logs })))
}

/// Addresses, and how a token is issued.
fn access(context: &Context, served: &Served) -> Result<Output> {
    let state = &served.state;
    let text = format!(
        "service    {0}   (console and API pages in the browser; metrics at {0}/metrics)\n\
         provider   {1}\n\
         psql       psql '{2}'\n\
         tree       {3}\n\
         logs       {4}\n\n\
         token      curl -s {0}/v1/sandbox/tokens -H 'content-type: application/json' -d '{{\"role\":\"ops\"}}'",
        state.base_url,
        state.provider_url,
        state.database_url,
        context.paths.tree().display(),
        state.logs.iter().map(|log| log.display().to_string()).collect::<Vec<_>>().join(" "),
    );
    let mut json: Value = serde_json::to_value(state)?;
    json["tree"] = json!(context.paths.tree());
    Ok(Output::of(text, json))
}

/// Lines that contain the wanted text.
fn grep(text: &str, arguments: &Observe) -> String {
    let wanted = arguments.grep.as_deref().unwrap_or_default().to_lowercase();
    let lines = text.lines().filter(|line| line.to_lowercase().contains(&wanted));
    if wanted.is_empty() { text.to_owned() } else { lines.collect::<Vec<_>>().join("\n") }
}
