//! The program: reads the command line and runs the command.

mod cli;
#[cfg(feature = "sandbox")]
mod demo;
#[cfg(feature = "sandbox")]
mod local;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ContextKind;
use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Command};
use ridematch::platform::error::Error;
use ridematch::platform::{schema, telemetry};
use ridematch::startup;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The longest that an ordered stop may take; a supervisor sends SIGKILL after 10 s.
const EXIT_WITHIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    ridematch::platform::crypto::install();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let end = match cli.command {
        #[cfg(feature = "sandbox")]
        None => cli::sandbox::Command::default().run().await,
        #[cfg(not(feature = "sandbox"))]
        None => {
            let _written = Cli::command().print_help();
            Ok(ExitCode::from(2))
        }
        #[cfg(feature = "sandbox")]
        Some(Command::Sandbox(command)) => command.run().await,
        Some(Command::Serve(options)) => serve(*options).await,
        Some(Command::Migrate(options)) => migrate(&options).await,
        Some(Command::Openapi) => openapi(),
        Some(Command::Audit(options)) => audit(&options).await,
        Some(Command::Completions { shell }) => completions(shell),
    };
    end.unwrap_or_else(|error| {
        eprintln!("ridematch: {error}");
        match error.downcast_ref() {
            Some(Error::Configuration(_)) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    })
}

/// Prints help as it is; reduces an error to one line on standard error, with exit code 2.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _printed = error.print();
        return ExitCode::SUCCESS;
    }
    // The value may be a secret, or a URL that holds one.
    let value = error.get(ContextKind::InvalidValue).map(|value| format!("'{value}' ")).unwrap_or_default();
    let text = error.to_string().replacen(&value, "", 1);
    let message: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = message.join(" ");
    eprintln!("ridematch: {} (--help lists options and environment variables)", message.trim_start_matches("error: "));
    ExitCode::from(2)
}

/// Prints to standard output. A reader that has closed the pipe (`| head -1`) is not an error.
///
/// # Errors
/// If writing fails for another reason.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        end => end,
    }
}

/// The path of this program, to start children from.
#[cfg(feature = "sandbox")]
fn program() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "ridematch".into())
}

async fn serve(options: cli::Serve) -> Result<ExitCode, BoxError> {
    let config = &options.config;
    #[cfg(feature = "sandbox")]
    let start = {
        let recorder = ridematch::sandbox::SqlRecorder::default();
        telemetry::init(&config.log, options.sandbox.sandbox.then(|| recorder.layer()));
        startup::start_with_sandbox(config, options.sandbox, recorder)
    };
    #[cfg(not(feature = "sandbox"))]
    let start = {
        telemetry::init(&config.log, None::<tracing_subscriber::layer::Identity>);
        startup::start(config)
    };
    // Before the service answers: a SIGTERM from then on stops it in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut service = start.await?;
    print(&format!("listening on http://{}\n", service.address))?;
    if let Some(address) = service.admin_address {
        print(&format!("metrics on http://{address}/metrics\n"))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = parent_exit(config.exit_with_parent) => {}
        end = service.ended() => {
            tracing::error!(end, "a part of the service ended; exiting to be restarted");
            return Ok(ExitCode::FAILURE);
        }
    }
    tracing::info!("stopping");
    if tokio::time::timeout(EXIT_WITHIN, service.stop()).await.is_err() {
        tracing::error!("the service did not stop in time");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns when standard input ends, if `watch` is set: a parent that dies closes it.
async fn parent_exit(watch: bool) {
    if !watch {
        return std::future::pending().await;
    }
    let (ended, wait) = tokio::sync::oneshot::channel();
    // A thread of its own: a blocking task that never ends would delay the runtime's shutdown.
    std::thread::spawn(move || {
        let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _received = ended.send(());
    });
    let _ended = wait.await;
}

async fn migrate(options: &cli::Migrate) -> Result<ExitCode, BoxError> {
    schema::migrate(&options.database.database_url).await?;
    let text = if options.json { r#"{"status":"up_to_date"}"# } else { "the database is up to date" };
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn openapi() -> Result<ExitCode, BoxError> {
    print(&(ridematch::document().to_pretty_json()? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn completions(shell: clap_complete::Shell) -> Result<ExitCode, BoxError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ridematch", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn audit(options: &cli::Audit) -> Result<ExitCode, BoxError> {
    let auditor = startup::auditor(options.config())?;
    if let Some(at_most) = options.settle().filter(|_| io::stderr().is_terminal()) {
        eprintln!("ridematch: waiting at most {} s until everything is settled", at_most.as_secs());
    }
    let report = match options.recent {
        true => auditor.run_recent(options.settle()).await?,
        false => auditor.run(options.settle()).await?,
    };
    let text = if options.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    print(&text)?;
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
