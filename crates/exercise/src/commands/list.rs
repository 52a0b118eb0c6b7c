//! `list` and `show`.

use crate::Result;
use crate::catalog::Exercise;

/// What the limits do not do.
const NOT_CONTAINED: &str = "Your program runs with your rights: the limits stop accidents, not attacks. It can read and change your files and \
     use the network, and a process that leaves its process group outlives the check.";

/// Lists the exercises.
pub(super) fn list() -> Result<()> {
    for Exercise { name, about, .. } in Exercise::all()? {
        println!("{name:<10} {:>3} min  {}", about.minutes, about.title);
    }
    println!("\ncargo exercise start NAME makes a folder to work in; cargo exercise check NAME -- COMMAND judges.");
    Ok(())
}

/// Shows the statement and the limits.
pub(super) fn show(name: &str) -> Result<()> {
    let exercise = Exercise::find(name)?;
    println!("{}", exercise.text("statement.md")?.trim_end());
    println!("\n## Limits\n\n{}", limits(&exercise));
    Ok(())
}

/// Describes the limits.
pub(super) fn limits(exercise: &Exercise) -> String {
    let limits = exercise.about.limits;
    format!(
        "Each run has {} s of processor time, {} s in all, {} MB of memory for data, 8 MB of output, files of up to 64 MB, and \
         an empty directory. It must end with exit code 0. {NOT_CONTAINED}",
        limits.cpu_s, limits.wall_s, limits.memory_mb
    )
}
