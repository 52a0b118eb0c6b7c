//! `cargo xtask scale`: whole trips made by SQL, and what each statement of the service costs with few of them and with many.
//!
//! A statement whose cost grows with the history is an error. The figures are written to `docs/operations/scale.md`.

mod database;
mod measure;
mod page;
mod plan;
mod statements;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use database::ScaleDatabase;
use measure::Measurement;
use page::MeasuredStatement;
use statements::Statement;

use crate::workspace::{self, Result};

/// Where the figures are written.
const PAGE: &str = "docs/operations/scale.md";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// The numbers of trips in the two databases.
    sizes: [u64; 2],
    /// Where the databases are.
    data_dir: PathBuf,
    /// Whether they are kept for the next run.
    keep: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let data_dir = workspace::root().join("target/scale");
        let mut options = Self { sizes: [10_000, 1_000_000], data_dir, keep: false };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().copied().ok_or(format!("{argument} needs a value"));
            match *argument {
                "--few" => options.sizes[0] = value()?.parse()?,
                "--many" => options.sizes[1] = value()?.parse()?,
                "--data-dir" => options.data_dir = value()?.into(),
                "--keep" => options.keep = true,
                _ => return Err(format!("unknown argument: {argument}").into()),
            }
        }
        Ok(options)
    }
}

/// Generates what is missing, measures every statement in both databases, and writes the page.
///
/// # Errors
///
/// An unknown argument, a query without parameters, a server that does not start, or a statement that fails.
pub async fn run(arguments: &[&str]) -> Result<ExitCode> {
    if arguments == ["--check"] {
        let statements = statements::read(&workspace::root())?;
        eprintln!("{} statements, each with its parameters", statements.len());
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(arguments)?;
    let statements = statements::read(&workspace::root())?;
    let [few, many] = options.sizes;
    let (small, _) = measured(&options, few, &statements).await?;
    let (large, version) = measured(&options, many, &statements).await?;
    let pairs = small.into_iter().zip(large);
    let all: Vec<MeasuredStatement> = statements
        .into_iter()
        .zip(pairs)
        .map(|(statement, (few, many))| MeasuredStatement { statement, few, many })
        .collect();
    let machine = format!("{} cores, PostgreSQL {version}", thread::available_parallelism()?);
    write_page(&workspace::root().join(PAGE), &page::render(&all, options.sizes, &machine))?;
    Ok(verdict(&all))
}

/// Measures the statements in the database with `trips` trips. Returns the server's version too.
async fn measured(options: &Options, trips: u64, statements: &[Statement]) -> Result<(Vec<Measurement>, String)> {
    let dir = options.data_dir.join(trips.to_string());
    let mut database = ScaleDatabase::open(&dir, trips).await?;
    let version = database.version().await?;
    let measured = measure::all(&mut database.session, statements).await;
    database.close().await?;
    if !options.keep {
        fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    Ok((measured?, version))
}

fn write_page(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Lists the statements that grow with the history without a reason.
fn verdict(all: &[MeasuredStatement]) -> ExitCode {
    let growing: Vec<_> = all.iter().filter(|one| one.grows() && one.statement.grows_because.is_none()).collect();
    for one in &growing {
        eprintln!(
            "grows with the history: {}, from {} to {} buffers ({})",
            one.statement.at, one.few.buffers, one.many.buffers, one.many.plan
        );
    }
    if growing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_defaults_and_refuse_unknown_arguments() {
        let options = Options::parse(&["--few", "100", "--keep"]).expect("options");
        assert_eq!((options.sizes, options.keep), ([100, 1_000_000], true));
        assert!(Options::parse(&["--fewer", "100"]).is_err());
        assert!(Options::parse(&["--few"]).is_err());
    }
}
