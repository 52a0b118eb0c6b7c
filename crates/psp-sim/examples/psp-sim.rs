//! psp-sim as a process of its own; `--help` lists the options.

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    psp_sim: psp_sim::Cli,
}

#[tokio::main]
async fn main() -> Result<(), psp_sim::Error> {
    psp_sim::run(Arguments::parse().psp_sim).await
}
