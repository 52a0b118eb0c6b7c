//! `run`: bet, lab, files, report.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded_postgres::Cluster;
use launcher::{clock, files};
use serde_json::{Value, json};

use super::Output;
use crate::bets::{Bet, BetStore};
use crate::cli::Run;
use crate::context::Context;
use crate::document::ResultDocument;
use crate::labs::{self, Lab};
use crate::outcome::LabResult;
use crate::{Result, machine, numbers, postgres};

/// How often the prompt asks for a number.
const PROMPTS_MAX: usize = 3;

/// Runs one lab, or all of them. All bets come before the first lab.
pub(super) async fn run(arguments: &Run, as_json: bool) -> Result<Output> {
    let chosen: Vec<&'static Lab> = match &arguments.lab {
        Some(name) => vec![labs::find(name)?],
        None => labs::CATALOG.iter().collect(),
    };
    let out = arguments.out.clone().unwrap_or_else(super::default_out);
    let store = BetStore::of_user()?;
    // Before the bets: a damaged file is better found before minutes of work.
    store.read()?;
    std::fs::create_dir_all(&out).map_err(|error| format!("cannot write results to {}: {error}", out.display()))?;
    let bets = ask_all(&chosen, arguments)?;

    let mut cluster = None;
    let (mut text, mut items) = (String::new(), Vec::new());
    for (lab, bet) in chosen.iter().zip(bets) {
        let bet = Bet { lab: lab.name.into(), made_at: clock::now(), bet, answer: None, unit: lab.bet.unit.into() };
        // It is on disk before the first measurement.
        store.add(&bet)?;
        let (document, result) = measure(lab, arguments, &mut cluster).await?;
        let paths = write(&out, lab, &document, &result)?;
        let settled = store.settle(&bet, &document.answer)?;
        text.push_str(&report(&document, &result, &settled, &paths)?);
        items.push(in_json(&document, &settled, &paths));
        if chosen.len() > 1 && !as_json {
            // A report after each lab: all of them take a quarter of an hour.
            Output { text: std::mem::take(&mut text), json: Value::Null }.print(false);
        }
    }
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    let json = if arguments.all { json!({ "labs": items }) } else { items.pop().unwrap_or_default() };
    Ok(Output { text, json })
}

/// Runs a lab, with a PostgreSQL if it needs one. The server stays up for the next lab.
async fn measure(lab: &Lab, arguments: &Run, cluster: &mut Option<Cluster>) -> Result<(ResultDocument, LabResult)> {
    if lab.kind == labs::Kind::Postgres && cluster.is_none() {
        *cluster =
            Some(postgres::start().await.map_err(|error| format!("lab {} needs a PostgreSQL: {error}", lab.name))?);
    }
    let commit = machine::commit(&super::checkout());
    let started_at = clock::now();
    let limit = Duration::from_secs(arguments.time_limit);
    let mut context = Context::shown(lab.name, (arguments.seed, arguments.runs), limit);
    if let Some(cluster) = cluster {
        context = context.with_server(cluster.server().clone());
    }
    let result = (lab.run)(&context).await.map_err(|error| format!("lab {}: {error}", lab.name));
    context.clear_line();
    let result = result?;
    Ok((ResultDocument::new(lab, &context, &result, (commit, started_at)), result))
}

/// The files of a result.
struct Written {
    json: PathBuf,
    svg: PathBuf,
}

fn write(out: &Path, lab: &Lab, document: &ResultDocument, result: &LabResult) -> Result<Written> {
    let file = |extension: &str| out.join(format!("{}.{extension}", lab.name));
    let written = Written { json: file("json"), svg: file("svg") };
    files::replace_json(&written.json, document)?;
    files::replace(&written.svg, result.plot.svg().as_bytes())?;
    Ok(written)
}

/// Returns the bet on each lab.
fn ask_all(chosen: &[&'static Lab], arguments: &Run) -> Result<Vec<Option<f64>>> {
    if arguments.no_bet {
        return Ok(vec![None; chosen.len()]);
    }
    if let Some(bet) = arguments.bet {
        check(bet)?;
        return Ok(vec![Some(bet)]);
    }
    if !std::io::stdin().is_terminal() {
        let bet = if chosen.len() == 1 { "`--bet NUMBER`, or " } else { "" };
        let asked = chosen.iter().map(|lab| format!("\n  {}: {} ({})", lab.name, lab.bet.ask, lab.bet.unit));
        let asked: String = asked.collect();
        return Err(format!(
            "a bet comes first, and there is no terminal to ask on: give {bet}`--no-bet`. Asked:{asked}"
        )
        .into());
    }
    chosen.iter().map(|lab| ask(lab, &mut std::io::stdin().lock()).map(Some)).collect()
}

/// Asks for a number until there is one.
fn ask(lab: &Lab, answers: &mut impl BufRead) -> Result<f64> {
    eprintln!("{}. {}\n{}", lab.number, lab.title, lab.question);
    for _ in 0..PROMPTS_MAX {
        eprint!("Your bet: {} ({}) ", lab.bet.ask, lab.bet.unit);
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            break;
        }
        match parse(&line) {
            Ok(bet) => return Ok(bet),
            Err(error) => eprintln!("{error}"),
        }
    }
    Err("no bet was made: try again, or run with `--no-bet`".into())
}

/// Reads a number with thousands separators: `1,200` and `1 200`.
fn parse(line: &str) -> Result<f64> {
    let digits: String = line.trim().chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    let bet: f64 =
        digits.parse().map_err(|_| format!("{:?} is not a number: write one such as 12 or 0.5", line.trim()))?;
    check(bet)?;
    Ok(bet)
}

fn check(bet: f64) -> Result<()> {
    if bet.is_finite() { Ok(()) } else { Err("a bet is a finite number".into()) }
}

fn in_json(document: &ResultDocument, bet: &Bet, paths: &Written) -> Value {
    json!({
        "result": document,
        "bet": { "value": bet.bet, "distance": bet.distance() },
        "files": { "json": paths.json, "svg": paths.svg },
    })
}

fn report(document: &ResultDocument, result: &LabResult, bet: &Bet, paths: &Written) -> Result<String> {
    let ResultDocument { number, title, question, kind, seed, runs, seconds, machine, commit, .. } = document;
    let mut text = format!("{number}. {title}\n{question}\n\n{}\n", result.table.text());
    writeln!(text, "Median of {runs} runs; in parentheses the range.")?;
    for records in &document.records {
        writeln!(text, "\n{}", records.title)?;
        records.lines.iter().try_for_each(|line| writeln!(text, "  {line}"))?;
    }
    let answer = &document.answer;
    writeln!(text, "\nAnswer: {} {}. {}", numbers::short(answer.value), answer.unit, answer.text)?;
    match (bet.bet, bet.distance()) {
        (Some(bet), Some(distance)) => {
            writeln!(text, "Your bet: {} {}: {}.", numbers::short(bet), answer.unit, distance.text(&answer.unit))?;
        }
        _ => writeln!(text, "No bet was made.")?,
    }
    writeln!(text)?;
    document.conclusions.iter().try_for_each(|line| writeln!(text, "- {line}"))?;
    writeln!(text, "\nHeld fixed: {}", document.held_fixed)?;
    writeln!(text, "Would change the result: {}", document.would_change)?;
    let (cores, memory) = (machine.cores, machine.memory_mb);
    writeln!(text, "\n{kind}; seed {seed}, {seconds:.1} s, {cores} cores, {memory} MB, commit {commit}")?;
    writeln!(text, "{}\n{}\n", paths.json.display(), paths.svg.display())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_repeats_until_there_is_a_number() {
        let lab = &labs::CATALOG[0];
        assert_eq!(ask(lab, &mut "many\n 1,200 \n".as_bytes()).expect("a bet").to_bits(), 1_200.0_f64.to_bits());
        assert!(ask(lab, &mut "a\nb\nc\n4\n".as_bytes()).is_err());
        assert!(ask(lab, &mut "".as_bytes()).expect_err("none").to_string().contains("--no-bet"));
        assert!(parse("inf").is_err());
    }
}
