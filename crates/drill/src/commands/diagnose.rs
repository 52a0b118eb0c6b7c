//! `diagnose`.

use std::fmt::Write;

use launcher::clock;
use serde_json::json;

use super::{Context, Output, guide};
use crate::{
    Result,
    cli::Diagnose,
    judge::{self, Diagnosis},
    pack::{Catalog, Pack, evidence},
    session::{DiagnosisRecord, Lock, Session},
};

/// How a diagnosis is given.
const USAGE: &str = "cargo drill diagnose --component NAME --mechanism NAME --evidence KIND:TEXT [--evidence …]\n\
kinds of evidence: log, metric, request, sql, commit, source, environment. Copy what you saw: a log line, a sample, a row, a commit.";

/// Grades a diagnosis. Without arguments, prints the lists.
pub(super) fn run(context: &Context, arguments: &Diagnose) -> Result<Output> {
    let catalog = Catalog::read()?;
    let (Some(component), Some(mechanism)) = (&arguments.component, &arguments.mechanism) else {
        if arguments.component.is_some() || arguments.mechanism.is_some() || !arguments.evidence.is_empty() {
            return Err(format!("a diagnosis names both a component and a mechanism:\n{USAGE}").into());
        }
        return lists(&catalog);
    };
    if catalog.component(component).is_none() {
        let names: Vec<&str> = catalog.component.iter().map(|component| component.name.as_str()).collect();
        return Err(format!("there is no component {component}; there are {}", names.join(", ")).into());
    }
    if catalog.mechanism(mechanism).is_none() {
        let names: Vec<&str> = catalog.mechanism.iter().map(|mechanism| mechanism.name.as_str()).collect();
        return Err(format!("there is no mechanism {mechanism}; there are {}", names.join(", ")).into());
    }
    for named in &arguments.evidence {
        evidence::split(named)?;
    }
    let _lock = Lock::take(&context.paths, "diagnose")?;
    let mut session = Session::started(&context.paths)?;
    let pack = context.drill(&session)?.pack()?;
    let grade = grade(&catalog, &pack, component, mechanism, &arguments.evidence)?;
    session.diagnoses.push(DiagnosisRecord {
        at: clock::now(),
        component: component.clone(),
        mechanism: mechanism.clone(),
        evidence: arguments.evidence.clone(),
        points: grade.points,
    });
    session.write(&context.paths)?;
    let mut text = format!("{} of 3\n", grade.points);
    for line in &grade.lines {
        writeln!(text, "- {line}")?;
    }
    text.push_str(&guide::next(&session, guide::Done::Diagnosed));
    Ok(Output::of(text, json!({ "points": grade.points, "lines": grade.lines })))
}

/// The closed lists.
fn lists(catalog: &Catalog) -> Result<Output> {
    let mut text = String::from("Components:\n");
    for component in &catalog.component {
        writeln!(text, "  {:<16} {}", component.name, component.summary)?;
    }
    text.push_str("\nMechanisms:\n");
    for mechanism in &catalog.mechanism {
        writeln!(text, "  {:<24} {}", mechanism.name, mechanism.summary)?;
    }
    write!(text, "\n{USAGE}")?;
    Ok(Output::of(text, serde_json::to_value(catalog)?))
}

/// The grade of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grade {
    /// Points of 3: component, mechanism, evidence.
    points: u8,
    /// What is right, and what is not, without the answer.
    lines: Vec<String>,
}

/// Grades a diagnosis. Of a pair of faults, the one that fits best counts, and the other is mentioned.
fn grade(catalog: &Catalog, pack: &Pack, component: &str, mechanism: &str, named: &[String]) -> Result<Grade> {
    let cause = |component: &str, mechanism: &str, evidence: &[String]| Diagnosis {
        component: component.to_owned(),
        mechanism: mechanism.to_owned(),
        evidence: evidence.to_vec(),
    };
    let mut causes = vec![cause(&pack.component, &pack.mechanism, &pack.evidence)];
    causes.extend(pack.also.iter().map(|also| cause(&also.component, &also.mechanism, &also.evidence)));
    let user = cause(component, mechanism, named);
    let graded = causes.iter().map(|cause| (cause, judge::grade(std::slice::from_ref(cause), &user)));
    let (cause, grade) = graded.max_by_key(|(_, grade)| grade.points()).ok_or("the pack has no cause")?;
    let line = |part: &str, holds: bool, otherwise: String| {
        format!("{part}: {}", if holds { "right".to_owned() } else { otherwise })
    };
    let tell = catalog.mechanism(mechanism).map(|mechanism| mechanism.tell.as_str()).unwrap_or_default();
    let near = if catalog.look_alike(mechanism, &cause.mechanism) {
        format!("not {mechanism}, which shows the same symptom. How {mechanism} looks: {tell}")
    } else {
        format!("not {mechanism}")
    };
    let missing = if named.is_empty() { "none was named" } else { "what you named does not point there" };
    let mut lines = vec![
        line("component", grade.component, format!("not {component}")),
        line("mechanism", grade.mechanism, near),
        line("evidence", grade.evidence, missing.to_owned()),
    ];
    if causes.len() > 1 && grade.is_right() {
        lines.push("there is a second fault: diagnose it as well".to_owned());
    }
    Ok(Grade { points: grade.points(), lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(also: &str) -> Pack {
        let text = format!(
            "component = 'supply'\nmechanism = 'stale-cache-entry'\nevidence = ['metric:index.*free', 'commit:move']\npost_mortem = ''\n\
             check = []\nhint = []\n{also}[load]\nseconds = 1.0\n"
        );
        toml::from_str(&text).expect("a pack")
    }

    fn graded(pack: &Pack, component: &str, mechanism: &str, evidence: &[&str]) -> Grade {
        let catalog = Catalog::read().expect("the lists");
        let evidence: Vec<String> = evidence.iter().map(|text| (*text).to_owned()).collect();
        grade(&catalog, pack, component, mechanism, &evidence).expect("a grade")
    }

    #[test]
    fn any_of_several_artefacts_counts() {
        for evidence in ["metric:ridematch_index{state=\"free\"} 212", "commit:Move a car"] {
            assert_eq!(graded(&pack(""), "supply", "stale-cache-entry", &["log:x", evidence]).points, 3, "{evidence}");
        }
        assert_eq!(graded(&pack(""), "supply", "stale-cache-entry", &["log:Move a car"]).points, 2);
    }

    #[test]
    fn lookalike_is_named_as_one_without_the_answer() {
        let grade = graded(&pack(""), "supply", "lost-wake", &[]);
        assert_eq!(grade.points, 1);
        assert!(grade.lines[1].contains("same symptom") && !grade.lines[1].contains("stale-cache-entry"), "{grade:?}");
        assert!(!graded(&pack(""), "supply", "rounding", &[]).lines[1].contains("same symptom"));
    }

    #[test]
    fn either_fault_of_a_pair_counts() {
        let also = "[[also]]\ncomponent = 'health'\nmechanism = 'probe-dependency'\nevidence = ['log:restart']\n";
        let grade = graded(&pack(also), "health", "probe-dependency", &["log:restart"]);
        assert!(grade.points == 3 && grade.lines.iter().any(|line| line.contains("second fault")), "{grade:?}");
    }
}
