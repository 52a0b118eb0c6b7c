//! `diagnose --review`: three changes, without saying which one is the fix.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Context, Output, context::progress, reveal, runs, trial};
use crate::{
    Result,
    cli::Diagnose,
    export::{self, build::BuildError, git::Repository},
    pack::{Change, Pack, changes},
    session::{Lock, Session},
};

/// Seeds of a review. A wrong fix fails with the first ones.
const SEEDS: [u64; 4] = [21, 22, 23, 24];

/// Names of the changes.
const LABELS: [&str; 3] = ["A", "B", "C"];

/// A change of the review.
struct Candidate {
    label: &'static str,
    change: Change,
    /// What it is, for the end.
    name: String,
    why: String,
    is_fix: bool,
}

/// Shows the changes, or runs them and compares with the predictions.
pub(super) async fn run(context: &Context, arguments: &Diagnose) -> Result<Output> {
    let session = Session::started(&context.paths)?;
    let pack = context.drill(&session)?.pack()?;
    let candidates = candidates(&session, &pack);
    let Some(text) = &arguments.predict else { return shown(&candidates) };
    let predictions = predictions(text, &candidates)?;
    let _lock = Lock::take(&context.paths, "diagnose --review")?;
    // `verify` builds there as well.
    let _proof = Lock::take(&context.paths.proof(), "diagnose --review")?;
    let bench = trial::bench(context, pack)?;
    let faulty = Repository::open(&context.paths.tree())?.files_of(&session.commit)?;
    let (mut text, mut right, mut items) = (String::new(), 0, Vec::new());
    for candidate in &candidates {
        progress(&format!("change {}", candidate.label));
        let mut tree = faulty.clone();
        changes::apply(&mut tree, &candidate.change)?;
        let proof = context.paths.proof();
        export::write_files(&proof.tree(), &tree, &std::collections::BTreeSet::new())?;
        let verdicts = match runs::build(&proof, &context.checkout).await {
            Ok(built) => {
                let sql = changes::sql(&bench.pack.fault, &candidate.change);
                let service = runs::candidate(&proof, &built, sql);
                runs::judge_seeds(&bench, &service, &SEEDS, true).await
            }
            Err(BuildError::DoesNotCompile(messages)) => {
                return Err(format!("change {}:\n{messages}", candidate.label).into());
            }
            Err(error) => return Err(error.to_string().into()),
        };
        let passed = verdicts.iter().all(|verdict| verdict.passed);
        let predicted = predictions[candidate.label];
        right += usize::from(predicted == passed);
        let word = |passed: bool| if passed { "pass" } else { "fail" };
        let mark = if predicted == passed { "right" } else { "not as predicted" };
        writeln!(text, "{}: {} ({mark}; you said {})", candidate.label, word(passed), word(predicted))?;
        writeln!(text, "   {}. {}", candidate.name, candidate.why)?;
        text.push_str(&runs::summary(&verdicts));
        items.push(json!({
            "label": candidate.label, "passed": passed, "predicted": predicted, "name": candidate.name, "is_fix": candidate.is_fix,
        }));
    }
    write!(text, "\n{right} of {} predicted", candidates.len())?;
    let all = right == candidates.len();
    Ok(Output { text, json: json!({ "right": right, "changes": items }), passed: all })
}

/// The fix and two wrong fixes, in an order that the session decides.
fn candidates(session: &Session, pack: &Pack) -> Vec<Candidate> {
    let fix = (!pack.fix.is_empty()).then(|| (pack.fix.clone(), "The fix".to_owned(), String::new(), true));
    let wrong = pack.wrong.iter().filter(|wrong| !wrong.trick);
    let wrong = wrong.map(|wrong| (wrong.change(), wrong.name.clone(), wrong.why.trim().to_owned(), false));
    let mut all: Vec<_> = fix.into_iter().chain(wrong).take(LABELS.len()).collect();
    let order = |name: &str| Sha256::digest(format!("{}{}{name}", session.started_at, session.name)).to_vec();
    all.sort_by_key(|(_, name, _, _)| order(name));
    let labelled = LABELS.into_iter().zip(all);
    labelled.map(|(label, (change, name, why, is_fix))| Candidate { label, change, name, why, is_fix }).collect()
}

fn shown(candidates: &[Candidate]) -> Result<Output> {
    let mut text = String::new();
    for candidate in candidates {
        writeln!(text, "Change {}:\n{}", candidate.label, reveal::shown(&candidate.change))?;
    }
    let example: Vec<String> = candidates.iter().map(|candidate| format!("{}=fail", candidate.label)).collect();
    write!(
        text,
        "What will `check` say of each? Predict, then it is run:\ncargo drill diagnose --review --predict {}",
        example.join(",")
    )?;
    let items: Vec<_> = candidates
        .iter()
        .map(|candidate| json!({ "label": candidate.label, "change": reveal::shown(&candidate.change) }))
        .collect();
    Ok(Output::of(text, json!({ "changes": items })))
}

/// Reads `A=pass,B=fail,C=fail`.
fn predictions(text: &str, candidates: &[Candidate]) -> Result<BTreeMap<&'static str, bool>> {
    let mut predictions = BTreeMap::new();
    for part in text.split(',') {
        let pair = part.trim().split_once('=');
        let label = pair.and_then(|(label, _)| LABELS.into_iter().find(|known| known.eq_ignore_ascii_case(label)));
        let passed = pair.and_then(|(_, word)| match word {
            "pass" => Some(true),
            "fail" => Some(false),
            _ => None,
        });
        let (Some(label), Some(passed)) = (label, passed) else {
            return Err(format!("{part}: a prediction is A=pass or A=fail").into());
        };
        predictions.insert(label, passed);
    }
    if let Some(missing) = candidates.iter().find(|candidate| !predictions.contains_key(candidate.label)) {
        return Err(format!("there is no prediction for {}", missing.label).into());
    }
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(label: &'static str) -> Candidate {
        Candidate { label, change: Change::default(), name: String::new(), why: String::new(), is_fix: false }
    }

    #[test]
    fn each_change_needs_a_prediction() {
        let all = LABELS.map(candidate);
        let right = predictions("a=pass, B=fail,C=fail", &all).expect("three");
        assert_eq!(right, BTreeMap::from([("A", true), ("B", false), ("C", false)]));
        for wrong in ["A=pass", "A=pass,B=maybe,C=fail", "A,B,C", "D=pass,A=pass,B=fail,C=fail", ""] {
            assert!(predictions(wrong, &all).is_err(), "{wrong}");
        }
    }
}
