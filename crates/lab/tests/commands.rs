//! The program from outside: what it says, what it writes, and its exit code.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use lab::bets::DIRECTORY_VARIABLE;
use lab::document::{ResultDocument, SCHEMA};

/// A lab that takes a second.
const QUICK: &str = "overload";

/// Runs the program without a terminal, with bets and results in `folder`.
fn lab(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).env(DIRECTORY_VARIABLE, folder.join("bets")).env("CARGO_TARGET_DIR", folder);
    command.stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bet_comes_before_the_result_and_is_settled_by_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let refused = lab(folder.path(), &["run", QUICK]);
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(error.contains("--bet NUMBER") && error.contains("--no-bet"), "{error}");
    assert!(refused.stdout.is_empty());

    let run = lab(folder.path(), &["run", QUICK, "--bet", "50"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let report = text(&run.stdout);
    for wanted in ["Answer:", "Your bet: 50 of 100 requests: off by a factor of", "Held fixed:", "bounded queue"] {
        assert!(report.contains(wanted), "{wanted} is missing in {report}");
    }
    let svg = std::fs::read_to_string(folder.path().join("lab/overload.svg")).expect("a plot");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));

    let listed = text(&lab(folder.path(), &["list"]).stdout);
    assert!(listed.contains("you bet 50, the answer was"), "{listed}");
    assert!(listed.contains("geometric mean of 1") && listed.contains("no bet yet"), "{listed}");
}

#[test]
fn json_is_one_document_that_a_program_can_read() {
    let folder = tempfile::tempdir().expect("a directory");
    let out = folder.path().join("figures");
    let run = lab(folder.path(), &["run", "5", "--no-bet", "--json", "--seed", "3", "--out", &out.to_string_lossy()]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert!(printed["bet"]["value"].is_null());
    let kept = std::fs::read(out.join("overload.json")).expect("a result");
    let kept: ResultDocument = serde_json::from_slice(&kept).expect("a result");
    assert_eq!(serde_json::to_value(&kept).expect("a value"), printed["result"]);
    assert_eq!((kept.schema.as_str(), kept.lab.as_str(), kept.seed, kept.runs), (SCHEMA, QUICK, 3, 5));
    assert!(kept.rows.iter().all(|row| row.cells.len() == kept.columns.len()));
    assert!(kept.answer.value.is_finite());

    let listed = lab(folder.path(), &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["labs"].as_array().map(Vec::len), Some(10));
    assert_eq!(listed["labs"][4]["last"]["answer"].as_f64(), Some(kept.answer.value));
}

#[test]
fn errors_are_one_line_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a directory");
    let error = |arguments: &[&str]| {
        let run = lab(folder.path(), arguments);
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        text(&run.stderr)
    };
    let unknown = error(&["run", "overlaod", "--no-bet"]);
    assert!(unknown.contains("did you mean overload"), "{unknown}");

    std::fs::write(folder.path().join("file"), "").expect("written");
    let out = folder.path().join("file/below");
    let no_folder = error(&["run", QUICK, "--no-bet", "--out", &out.to_string_lossy()]);
    assert!(no_folder.contains("cannot write results to"), "{no_folder}");

    std::fs::create_dir_all(folder.path().join("bets")).expect("created");
    std::fs::write(folder.path().join("bets/bets.json"), "[{").expect("written");
    for arguments in [&["list"][..], &["run", QUICK, "--no-bet"]] {
        let damaged = error(arguments);
        assert!(damaged.contains("bets.json is damaged") && damaged.contains("move the file away"), "{damaged}");
    }
}
