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

#[test]
fn page_takes_the_figures_of_a_result_and_keeps_them_without_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let page = folder.path().join("page.md");
    std::fs::write(&page, "# A\n\n<!-- lab overload table -->\n<!-- lab end -->\n").expect("written");
    let read = || std::fs::read_to_string(&page).expect("the page");
    let include = |option: &[&str]| {
        let shown = page.to_string_lossy();
        lab(folder.path(), &[&["include", &*shown][..], option].concat())
    };
    let empty = include(&[]);
    assert!(empty.status.success() && text(&empty.stdout).contains("no result of overload"), "{empty:?}");
    assert!(read().contains("-->\nNot measured yet: `cargo lab run overload`.\n<!--"), "{}", read());
    assert!(include(&["--check"]).status.success());

    assert!(lab(folder.path(), &["run", QUICK, "--no-bet"]).status.success());
    let stale = include(&["--check"]);
    assert_eq!(stale.status.code(), Some(2));
    assert!(text(&stale.stderr).contains("page.md") && read().contains("Not measured yet"), "{stale:?}");
    assert!(include(&[]).status.success());
    let figures = read();
    for wanted in ["| bounded queue | ", "`cargo lab run overload`: ", ", commit ", "Median of 5 runs"] {
        assert!(figures.contains(wanted), "{wanted} is missing in {figures}");
    }
    assert!(include(&["--check"]).status.success());

    // The figures outlive their result, but nothing is left to compare them with.
    std::fs::remove_file(folder.path().join("lab/overload.json")).expect("removed");
    assert!(include(&[]).status.success());
    assert_eq!(read(), figures);
    assert_eq!(include(&["--check"]).status.code(), Some(2));
}

#[test]
fn bets_are_in_the_users_data_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let bets = folder.path().join("data/ridematch/lab/bets.json");
    std::fs::create_dir_all(bets.parent().expect("a folder")).expect("created");
    std::fs::write(&bets, "[{").expect("written");
    let list = |data: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.arg("list").env_remove(DIRECTORY_VARIABLE).env_remove("HOME").env_remove("XDG_DATA_HOME");
        command.envs(data.map(|data| ("XDG_DATA_HOME", data)));
        text(&command.stdin(Stdio::null()).output().expect("the program runs").stderr)
    };
    let damaged = list(Some(folder.path().join("data").as_path()));
    assert!(damaged.contains(&format!("{} is damaged", bets.display())), "{damaged}");
    let nowhere = list(None);
    assert!(nowhere.contains("set HOME, XDG_DATA_HOME or RIDEMATCH_LAB_DIR"), "{nowhere}");
}
