//! `start`: a folder to work in.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::catalog::{self, Exercise};
use crate::cli::Start;

/// The variable that names the directory of the folders.
pub const DIRECTORY_VARIABLE: &str = "RIDEMATCH_EXERCISE_DIR";

/// What a folder gets: the file in the exercise, and its name in the folder.
const FILES: [(&str, &str); 3] =
    [("statement.md", "statement.md"), ("start/solution.py", "solution.py"), ("start/solution.rs", "solution.rs")];

/// Makes the folder. Files that exist are kept.
pub(super) fn start(options: &Start) -> Result<()> {
    let exercise = Exercise::find(&options.name)?;
    let folder = match &options.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => default_folder(exercise.name)?,
    };
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for (from, name) in FILES {
        let path = folder.join(name);
        let is_new = write_new(&path, &exercise.text(from)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("{}{}", path.display(), if is_new { "" } else { "  (is there already, and was kept)" });
    }
    let minutes = exercise.about.minutes;
    println!("\nAn interview gives {minutes} minutes. Any language will do; from the source tree:\n");
    for command in
        [format!("python3 {}", folder.join("solution.py").display()), folder.join("solution.rs").display().to_string()]
    {
        println!("cargo exercise check {} -- {command}", exercise.name);
    }
    Ok(())
}

/// Returns the folder of this name here, or, inside the source tree, in the user's data directory.
fn default_folder(name: &str) -> Result<PathBuf> {
    let (here, tree) = (std::env::current_dir()?.canonicalize()?, catalog::tree().canonicalize()?);
    if here.starts_with(tree) {
        return Ok(launcher::environment::user_dir(DIRECTORY_VARIABLE, "exercise")?.join(name));
    }
    Ok(here.join(name))
}

/// Writes a file unless there is one. Returns whether there was none.
fn write_new(path: &Path, text: &str) -> std::io::Result<bool> {
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
