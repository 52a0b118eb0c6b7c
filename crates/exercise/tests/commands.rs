//! The program from outside: what it says, what it writes, and its exit code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program in `folder`.
fn exercise(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exercise"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn list_and_show_say_what_there_is_and_what_is_not_contained() {
    let list = exercise(tree(), &["list"]);
    assert!(list.status.success());
    for name in ["brackets", "merge", "split", "trending", "rides"] {
        assert!(text(&list.stdout).contains(name), "{name}");
        let show = exercise(tree(), &["show", name]);
        let shown = text(&show.stdout);
        for part in ["**Output.**", "s of processor time", "not attacks", "use the network"] {
            assert!(show.status.success() && shown.contains(part), "{name}: {part} is missing in {shown}");
        }
    }
}

#[test]
fn errors_are_one_line_with_the_way_out() {
    let folder = tempfile::tempdir().expect("a directory");
    let error = |arguments: &[&str]| {
        let run = exercise(folder.path(), arguments);
        assert_eq!(run.status.code(), Some(2), "{arguments:?}");
        text(&run.stderr)
    };
    assert!(error(&["show", "bracket"]).contains("did you mean brackets?"));
    assert!(error(&["check", "brackets"]).contains("after two dashes"));
    assert!(error(&["check", "brackets", "--", "pyhton3", "x.py"]).contains("no program pyhton3 in PATH"));
    fs::write(folder.path().join("solution.py"), "").expect("written");
    assert!(error(&["check", "brackets", "--", "solution.py"]).contains("run it by `python3 solution.py`"));
    fs::write(folder.path().join("solution.rs"), "fn main() { 1 + }").expect("written");
    assert!(error(&["check", "brackets", "--", "solution.rs"]).contains("does not compile"));
    fs::write(folder.path().join("file"), "").expect("written");
    assert!(error(&["start", "merge", "--dir", "file/below"]).contains("cannot make"));
}

#[test]
fn start_never_overwrites() {
    let folder = tempfile::tempdir().expect("a directory");
    let first = exercise(folder.path(), &["start", "split"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let solution = folder.path().join("split/solution.py");
    assert!(folder.path().join("split/statement.md").is_file() && folder.path().join("split/solution.rs").is_file());
    fs::write(&solution, "mine").expect("written");
    fs::remove_file(folder.path().join("split/solution.rs")).expect("removed");
    let second = exercise(folder.path(), &["start", "split"]);
    assert!(text(&second.stdout).contains("solution.py  (is there already, and was kept)"), "{}", text(&second.stdout));
    assert_eq!(fs::read_to_string(solution).expect("read"), "mine");
    assert!(folder.path().join("split/solution.rs").is_file());
}

#[test]
fn start_inside_the_tree_uses_the_data_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_exercise"));
    command.args(["start", "merge"]).current_dir(tree()).env("RIDEMATCH_EXERCISE_DIR", folder.path());
    assert!(command.output().expect("the program runs").status.success());
    assert!(folder.path().join("merge/solution.py").is_file() && !tree().join("merge").exists());
}

#[test]
fn wrong_solution_fails_with_the_case() {
    let folder = tempfile::tempdir().expect("a directory");
    let run = exercise(folder.path(), &["check", "brackets", "--", "sh", "-c", "echo balanced"]);
    assert_eq!(run.status.code(), Some(1));
    let said = text(&run.stdout);
    for part in ["Case 2 of ", "expected:\n    wrong at 10", "got:\n    balanced", "input:\n    fare(km[2)]"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
}

#[test]
fn worked_solution_in_rust_passes_and_the_talk_follows() {
    let run = exercise(tree(), &["check", "merge", "--seed", "5", "--", "exercises/merge/solutions/solution.rs"]);
    let said = text(&run.stdout);
    assert!(run.status.success(), "{said}{}", text(&run.stderr));
    assert!(said.contains("cases passed") && said.contains("# Talk about it"), "{said}");
}
