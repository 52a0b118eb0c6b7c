//! The command line: `ridematch psp-sim`, and this crate's example.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::clock;
use crate::error::Error;
use crate::fault_kinds::FaultKind;
use crate::server::{AUTHORIZATION_TTL, Settings, start};
use crate::webhooks::Webhook;

/// The end of `--help`.
fn after_help() -> String {
    let names = |of_webhooks: bool| {
        let kinds = FaultKind::ALL.iter().filter(|kind| kind.is_of_webhooks() == of_webhooks);
        kinds.map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
    };
    format!(
        "\
Try it with --any-version, and with the id of the first response in place of PI:
  curl localhost:12111/v1/payment_intents -u sk_test_psp_sim: -d amount=1250 -d currency=usd \\
       -d capture_method=manual -d payment_method=pm_card_visa
  curl -X POST localhost:12111/v1/payment_intents/PI/confirm -u sk_test_psp_sim:
  curl -X POST localhost:12111/v1/payment_intents/PI/capture -u sk_test_psp_sim:
  curl localhost:12111/sim/state -u sk_test_psp_sim:

Inject a fault: half of the captures succeed without a response. Then clear it:
  curl -X PUT localhost:12111/sim/faults -u sk_test_psp_sim: \\
       -d '{{\"faults\": [{{\"on\": \"capture\", \"kind\": \"hang_after\", \"share\": 0.5}}], \"seed\": 1}}'
  curl -X DELETE localhost:12111/sim/faults -u sk_test_psp_sim:

Faults of requests: {}
Faults of webhooks: {}
The payment method pm_sim_<fault> injects a fault into one confirmation, or into the events of that payment.",
        names(false),
        names(true)
    )
}

/// Run psp-sim, a stateful payment simulator with faults that speaks a subset of Stripe's API
#[derive(clap::Args)]
#[command(after_help = after_help())]
pub struct Cli {
    /// Address to listen on; port 0 takes a free port, which the first line of output names
    #[arg(long, default_value = "127.0.0.1:12111")]
    listen: SocketAddr,
    /// Directory of the journal
    #[arg(long, default_value = "psp-sim-data")]
    data_dir: PathBuf,
    /// Secret key of callers
    #[arg(long, env = "PSP_SECRET_KEY", default_value = "sk_test_psp_sim", hide_env_values = true)]
    secret_key: String,
    /// URL to which events are posted
    #[arg(long, env = "PSP_WEBHOOK_URL", requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// Secret with which events are signed
    #[arg(long, env = "PSP_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
    /// Accept requests with any Stripe-Version, or without one; by default only the simulated version
    #[arg(long)]
    any_version: bool,
    /// Seed of ids and faults: the same requests get the same ids and faults
    #[arg(long)]
    seed: Option<u64>,
    /// Seed of pauses and faults of webhooks; the value of --seed by default
    #[arg(long)]
    webhook_seed: Option<u64>,
    /// Start the clock at this time, in seconds since 1970, instead of the machine's time
    #[arg(long, value_name = "UNIX_SECONDS")]
    time: Option<u64>,
    /// How long an authorization is valid
    #[arg(long, value_name = "SECONDS", default_value_t = AUTHORIZATION_TTL.as_secs())]
    authorization_ttl: u64,
    /// Exit when standard input ends, as it does when the parent process is gone
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs until SIGTERM, SIGINT, or with `--exit-with-parent` the end of standard input.
///
/// The future is boxed, so that it is compiled with this crate and not with the program.
///
/// # Errors
/// See [`start`].
pub fn run(cli: Cli) -> Pin<Box<dyn Future<Output = Result<(), Error>>>> {
    Box::pin(run_until_stopped(cli))
}

async fn run_until_stopped(cli: Cli) -> Result<(), Error> {
    let mut settings = Settings::new(cli.data_dir, cli.secret_key);
    settings.listen = cli.listen;
    settings.any_version = cli.any_version;
    settings.seed = cli.seed;
    settings.webhook_seed = cli.webhook_seed;
    settings.authorization_ttl = Duration::from_secs(cli.authorization_ttl);
    settings.webhook = cli.webhook_url.zip(cli.webhook_secret).map(|(url, secret)| Webhook { url, secret });
    if let Some(seconds) = cli.time {
        settings.clock = clock::clock_starting_at(UNIX_EPOCH + Duration::from_secs(seconds));
    }
    let running = start(settings).await?;
    let mut output = std::io::stdout();
    writeln!(output, "listening on http://{}", running.address())
        .and_then(|()| output.flush())
        .map_err(Error::Output)?;
    tokio::select! {
        stopped = stop_signal() => stopped.map_err(Error::Signals)?,
        () = parent_exit(), if cli.exit_with_parent => {}
    }
    running.stop().await;
    Ok(())
}

#[cfg(unix)]
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

async fn parent_exit() {
    let (sender, receiver) = oneshot::channel();
    // In a thread, because the runtime does not end before a read of standard input has returned.
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while !matches!(std::io::stdin().read(&mut ignored), Ok(0) | Err(_)) {}
        let _ = sender.send(());
    });
    let _ = receiver.await;
}
