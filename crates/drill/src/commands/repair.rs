//! `repair`: the damage that outlasts the fix.

use std::{fmt::Write, fs, io::Read};

use launcher::{
    clock::{self, Stopwatch},
    files,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{Context, Output, context::progress, runs::Candidate, serve};
use crate::{
    Result,
    cli::Repair,
    observe::database,
    session::{Attempt, AttemptKind, Lock, Session},
    stack::serve::ServeCommand,
};

/// Damaged objects that are listed.
const LISTED: usize = 20;

/// Deploys the fixed program over the damaged database, and grades what is left of the damage.
pub(super) async fn run(context: &Context, arguments: &Repair) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "repair")?;
    let mut session = Session::started(&context.paths)?;
    let pack = context.drill(&session)?.pack()?;
    let repair = pack.repair.as_ref().ok_or("this drill leaves no damage behind")?;
    let fixed: Candidate = files::read_json(&fixed_file(context))?
        .ok_or("the fix comes first: the damage goes on until `cargo drill check` has passed")?;
    let served = serve::found(context)?;
    let (at, stopwatch) = (clock::now(), Stopwatch::start());
    progress("deploying your fixed service over the damaged database");
    served.ask(&ServeCommand::Redeploy { program: fixed.program, environment: fixed.environment }).await?;
    if let Some(source) = &arguments.sql {
        execute(&served.state.database_url, &read(source)?).await?;
    }
    let left = database::query(&served.state.database_url, &repair.query).await?;
    let audit = served.ask(&ServeCommand::Audit).await?;
    let audit_passes = passes(&audit);
    let passed = left.rows.is_empty() && audit_passes;
    let failure = (!passed).then(|| format!("{} damaged objects are left", left.rows.len()));
    session.attempts.push(Attempt {
        at,
        kind: AttemptKind::Repair,
        passed,
        seconds: stopwatch.seconds(),
        wrong: None,
        failure,
    });
    session.write(&context.paths)?;
    let mut text = String::new();
    if passed {
        write!(text, "repaired: no damaged object is left, and the audit agrees.\n\n{}", repair.explanation.trim())?;
    } else {
        writeln!(text, "{}\n\n{} damaged objects are left:", repair.damage.trim(), left.rows.len())?;
        for row in left.rows.iter().take(LISTED) {
            writeln!(text, "  {}", row.join("  "))?;
        }
        if !audit_passes {
            writeln!(text, "\nThe audit does not agree:\n{audit:#}")?;
        }
        write!(
            text,
            "\nRepair them through the API at {} (`cargo drill observe access` has a token), or where there is no way by API with \
             `cargo drill repair --sql FILE`. Then run `cargo drill repair` again.",
            served.state.base_url
        )?;
    }
    Ok(Output { text, json: json!({ "passed": passed, "left": left.rows, "audit": audit }), passed })
}

/// Where `check` keeps the service that passed.
pub(super) fn fixed_file(context: &Context) -> std::path::PathBuf {
    context.paths.programs().join("fixed.json")
}

/// Whether an audit's report says that every invariant holds.
fn passes(audit: &Value) -> bool {
    audit.get("clean").and_then(Value::as_bool).unwrap_or(false)
}

fn read(source: &str) -> Result<String> {
    if source == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(source).map_err(|error| format!("{source}: {error}").into())
}

async fn execute(url: &str, sql: &str) -> Result<()> {
    let mut session = PgConnection::connect(url).await?;
    // Several statements of one message are one transaction.
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut session)
        .await
        .map_err(|error| format!("nothing was repaired: {error}"))?;
    Ok(session.close().await?)
}
