//! One torture, from start to verdict.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::BoxError;
use crate::cli::Cli;
use crate::stack::{Options, Stack};

/// How long work may take to settle once everything is healed: two leases, and the longest back-off.
const SETTLE: Duration = Duration::from_secs(150);

/// Tortures. `program` is the service's, unless the options name another.
///
/// # Errors
/// If the torture itself cannot be held: something does not start, or does not stop.
pub async fn run(cli: &Cli, program: PathBuf) -> Result<ExitCode, BoxError> {
    // The server's account, if that is another one, passes through to its data.
    let dir =
        tempfile::Builder::new().prefix("ridematch-torture-").permissions(Permissions::from_mode(0o755)).tempdir()?;
    let options = Options {
        program: cli.program.clone().unwrap_or(program),
        dir: dir.path().to_owned(),
        seed: cli.seed,
        drivers: cli.drivers,
        time_scale: cli.time_scale,
    };
    let end = torture(cli, options).await;
    let is_clean = matches!(&end, Ok(true));
    keep_or_remove(dir, cli.keep || !is_clean, cli);
    Ok(if end? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn torture(cli: &Cli, options: Options) -> Result<bool, BoxError> {
    eprintln!("torture: seed {}, {} s; starting", cli.seed, cli.seconds);
    let stack = Stack::start(options).await?;
    let city = stack.city();
    stack.wire.shapes().arm(true);
    tokio::time::sleep(Duration::from_secs(cli.seconds)).await;
    stack.heal();
    stack.ready().await?;
    city.stop().await;
    for _ in 0..8 {
        stack.clock(&json!({ "advance_s": 200 })).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let audit = stack.audit(SETTLE).await?;
    for row in stack.wire.shapes().rows() {
        println!("{:>6} {:>3} {:>3}  {} {}", row.met, row.cut_before, row.cut_after, row.digest, row.label);
    }
    println!("{audit:#}");
    stack.stop().await?;
    Ok(audit["clean"] == true)
}

fn keep_or_remove(dir: TempDir, keep: bool, cli: &Cli) {
    if keep {
        let kept = dir.keep();
        eprintln!("torture: logs, database and the provider's books are in {}", kept.display());
        eprintln!("torture: again: cargo torture --seconds {} --seed {}", cli.seconds, cli.seed);
    }
}
