//! The command line: `ridematch psp-sim`, and this crate's example.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::oneshot;

use crate::{AUTHORISATION_TTL, Error, Settings, Webhook, clock, start};

/// Where to go from here, at the end of `--help`.
const FIRST_STEPS: &str = "\
First steps, with the id that the first one answers in the place of PI, and the books at the end:
  curl localhost:12111/v1/payment_intents -u sk_test_psp_sim: -d amount=1250 -d currency=usd \\
       -d capture_method=manual -d payment_method=pm_card_visa
  curl -X POST localhost:12111/v1/payment_intents/PI/confirm -u sk_test_psp_sim:
  curl -X POST localhost:12111/v1/payment_intents/PI/capture -u sk_test_psp_sim:
  curl localhost:12111/sim/books -u sk_test_psp_sim:

A bad day, on which every second capture is done and never answered, and its end:
  curl -X PUT localhost:12111/sim/faults -u sk_test_psp_sim: \\
       -d '{\"faults\": [{\"on\": \"capture\", \"kind\": \"hang_after\", \"share\": 0.5}], \"seed\": 1}'
  curl -X DELETE localhost:12111/sim/faults -u sk_test_psp_sim:

Faults of requests: decline, latency, hang_before, hang_after, error_500, error_500_after, error_503, rate_limited,
reset_before, reset_after, malformed, unknown_status; paying with pm_sim_<fault> strikes one confirmation.
Faults of webhooks: lost, late, doubled, reordered, wrong_signature, old_time_stamp.";

/// Run a payment provider with a memory, and with bad days, that speaks a subset of the Stripe API.
#[derive(clap::Args)]
#[command(after_help = FIRST_STEPS)]
pub struct Cli {
    /// Where to listen; port 0 takes a free one, and the first line of output says which
    #[arg(long, default_value = "127.0.0.1:12111")]
    listen: SocketAddr,
    /// Where the books are kept
    #[arg(long, default_value = "psp-sim-data")]
    data_dir: PathBuf,
    /// What callers authenticate with
    #[arg(long, env = "PSP_SECRET_KEY", default_value = "sk_test_psp_sim", hide_env_values = true)]
    secret_key: String,
    /// Where events are posted
    #[arg(long, env = "PSP_WEBHOOK_URL", requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// What events are signed with
    #[arg(long, env = "PSP_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
    /// Throw the same dice every time: the same requests get the same ids
    #[arg(long)]
    seed: Option<u64>,
    /// The same for the pauses and faults of webhooks; --seed's number unless told
    #[arg(long)]
    webhook_seed: Option<u64>,
    /// Start the clock at this moment, in seconds since 1970, instead of the machine's time
    #[arg(long, value_name = "UNIX_SECONDS")]
    time: Option<u64>,
    /// How long money stays reserved
    #[arg(long, value_name = "SECONDS", default_value_t = AUTHORISATION_TTL.as_secs())]
    authorisation_ttl: u64,
    /// Exit when standard input ends, as it does when whoever started this process is gone
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs until SIGTERM, SIGINT, or the end of standard input if asked to watch it.
///
/// # Errors
/// See [`start`].
pub async fn run(cli: Cli) -> Result<(), Error> {
    let mut settings = Settings::new(cli.data_dir, cli.secret_key);
    settings.listen = cli.listen;
    settings.seed = cli.seed;
    settings.webhook_seed = cli.webhook_seed;
    settings.authorisation_ttl = Duration::from_secs(cli.authorisation_ttl);
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
        asked = asked_to_stop() => asked.map_err(Error::Signals)?,
        () = parent_gone(), if cli.exit_with_parent => {}
    }
    running.stop().await;
    Ok(())
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

async fn parent_gone() {
    let (tell, told) = oneshot::channel();
    // A thread of its own: the runtime would wait for a read of standard input before it ends.
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while !matches!(std::io::stdin().read(&mut ignored), Ok(0) | Err(_)) {}
        let _ = tell.send(());
    });
    let _ = told.await;
}
