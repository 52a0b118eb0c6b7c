//! `check`.

use std::ffi::OsString;
use std::fs;

use crate::catalog::{Exercise, RIDES};
use crate::cli::Check;
use crate::limited::{self, Job};
use crate::{Result, cases, judge, rides, solution};

/// Judges a solution, and says what is wrong with it. Returns whether nothing is.
pub(super) async fn check(options: &Check) -> Result<bool> {
    let exercise = Exercise::find(&options.name)?;
    // Beside this program, because the directory for temporary files may forbid programs.
    let this = std::env::current_exe()?;
    let beside = this.parent().ok_or("this program is in no directory")?;
    let build = tempfile::Builder::new().prefix("exercise-build-").tempdir_in(beside)?;
    let command = solution::prepare(&options.command, build.path()).await?;
    let problem = if exercise.name == RIDES {
        rides::check(&exercise, options, &command).await?
    } else {
        classic(&exercise, options.seed, &command).await?
    };
    if let Some(problem) = problem {
        println!("{}: failed. {problem}", exercise.name);
        return Ok(false);
    }
    println!("\n{}", exercise.text("talk.md")?.trim_end());
    println!("\nWorked solutions: {}", exercise.dir.canonicalize()?.join("solutions").display());
    Ok(true)
}

/// Runs a solution on the cases until one fails. Returns what is wrong.
async fn classic(exercise: &Exercise, seed: u64, command: &[OsString]) -> Result<Option<String>> {
    let cases = cases::of(exercise, seed)?;
    let mut slowest_s = 0.0_f64;
    for (at, case) in cases.iter().enumerate() {
        // Its own directory each, so that no run sees the files of another.
        let folder = tempfile::Builder::new().prefix("ridematch-exercise-").tempdir()?;
        let (input, dir) = (folder.path().join("input"), folder.path().join("work"));
        fs::create_dir(&dir)?;
        fs::write(&input, &case.input)?;
        let limits = exercise.about.limits;
        let run = limited::run(Job { command, limits, input: &input, dir: &dir, environment: &[] }).await?;
        if let Some(problem) = judge::problem(&exercise.about, case, &run) {
            return Ok(Some(format!("Case {} of {}, {}: {problem}", at + 1, cases.len(), case.what)));
        }
        slowest_s = slowest_s.max(run.seconds);
    }
    println!("{}: all {} cases passed; the slowest took {slowest_s:.1} s.", exercise.name, cases.len());
    Ok(None)
}
