//! Runs the commands of the README.
//!
//! Every ```sh block under "## Quick start" runs, in order and in one shell; the ```json block after it is its output. The
//! test replaces the address and the secret key.

use std::fmt::Write;
use std::process::Command;

use serde_json::{Deserializer, Value};
use tempfile::TempDir;

use crate::harness::{Process, SECRET_KEY};

const HEADING: &str = "## Quick start\n";
/// Separates the output of the blocks.
const MARK: &str = "--- end of block ---";

/// The commands, each with its documented output.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once(HEADING).expect("the README has the heading");
    let (section, _) = section.split_once("\n## ").expect("it is not the last one");
    let fenced = |text: &'static str, kind: &str| {
        let (_, block) = text.split_once(&format!("```{kind}\n"))?;
        block.split_once("```")
    };
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((commands, after)) = fenced(rest, "sh") {
        let (printed, after) = fenced(after, "json").expect("the output follows every block");
        blocks.push((commands, printed));
        rest = after;
    }
    assert!(blocks.len() > 3, "blocks found");
    blocks
}

fn values(text: &str) -> Vec<Value> {
    let values: Result<_, _> = Deserializer::from_str(text).into_iter().collect();
    values.unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn readme_commands_print_what_the_readme_says() {
    if std::env::var_os("CI").is_none() && ["bash", "curl", "jq"].iter().any(|program| !is_installed(program)) {
        eprintln!("skipped: the README's commands need bash, curl and jq");
        return;
    }
    let data_dir = TempDir::new().unwrap();
    let process = Process::start(data_dir.path());
    let mut script = "set -euo pipefail\n".to_owned();
    for (commands, _) in blocks() {
        write!(script, "{commands}\necho '{MARK}'\n").unwrap();
    }
    let script = script.replace("http://127.0.0.1:12111", &process.http.base).replace("sk_test_psp_sim", SECRET_KEY);
    // curl would use the proxy of the environment.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let output = Command::new("bash").arg("-c").arg(script).env_clear().env("PATH", path).output().unwrap();
    let (printed, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{printed}\n{errors}");
    let printed: Vec<&str> = printed.split(&format!("{MARK}\n")).collect();
    for ((commands, expected), printed) in blocks().into_iter().zip(printed) {
        assert_eq!(values(printed), values(expected), "{commands}\n{errors}");
    }
    process.kill();
}
