//! `cargo trigger`.

use std::process::ExitCode;

use clap::Parser;
use trigger::{Cli, Error};

#[tokio::main]
async fn main() -> ExitCode {
    match trigger::run(&Cli::parse(), Box::new(|line| println!("{line}"))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trigger: {error}");
            if matches!(error, Error::Usage(_)) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
