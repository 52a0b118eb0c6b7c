//! The program: reads the command line and starts what it names.

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
use ridematch::ops::Auditor;
use ridematch::platform::config::Config;
use ridematch::platform::{schema, telemetry};
use ridematch::sandbox::Recorder;
use ridematch::startup;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Nothing that is still open then is worth waiting for.
const EXIT_WITHIN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(wrong) => return explain(&wrong),
    };
    let end = match cli.command {
        #[cfg(feature = "sandbox")]
        None => demo::run(cli::Demo::default(), program()).await,
        #[cfg(not(feature = "sandbox"))]
        None => {
            let _written = Cli::command().print_help();
            Ok(ExitCode::from(2))
        }
        #[cfg(feature = "sandbox")]
        Some(Command::Demo(options)) => demo::run(options, program()).await,
        Some(Command::Serve(config)) => serve(config).await,
        Some(Command::Migrate(options)) => migrate(&options).await,
        Some(Command::Openapi) => openapi(),
        Some(Command::Audit(options)) => audit(&options).await,
        #[cfg(feature = "sandbox")]
        Some(Command::City(options)) => city(&options).await,
        #[cfg(feature = "sandbox")]
        Some(Command::PspSim(options)) => {
            psp_sim::run(options).await.map(|()| ExitCode::SUCCESS).map_err(BoxError::from)
        }
        #[cfg(feature = "sandbox")]
        Some(Command::Torture(options)) => torture::run(&options, program()).await,
        #[cfg(feature = "sandbox")]
        Some(Command::Trigger(options)) => trigger::run(&options).await.map_err(BoxError::from),
        Some(Command::Completions { shell }) => completions(shell),
    };
    end.unwrap_or_else(|error| {
        eprintln!("ridematch: {error}");
        ExitCode::FAILURE
    })
}

/// Help goes out as it is. What is missing or malformed is one line, for logs and for eyes, and exit code 2.
fn explain(wrong: &clap::Error) -> ExitCode {
    if !wrong.use_stderr() {
        let _printed = wrong.print();
        return ExitCode::SUCCESS;
    }
    // The value may be a secret, or a URL with one in it; what is wrong with it is said without it.
    let value = wrong.get(ContextKind::InvalidValue).map(|value| format!("'{value}' ")).unwrap_or_default();
    let text = wrong.to_string().replacen(&value, "", 1);
    let what: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let what = what.join(" ");
    eprintln!("ridematch: {} (--help lists options and environment variables)", what.trim_start_matches("error: "));
    ExitCode::from(2)
}

/// Prints a text for whoever reads standard output. A reader that has had enough (`| head -1`) is no failure.
///
/// # Errors
/// If the text cannot be written, for another reason.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        end => end,
    }
}

/// This program, for children of it.
#[cfg(feature = "sandbox")]
fn program() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "ridematch".into())
}

async fn serve(config: Config) -> Result<ExitCode, BoxError> {
    let recorder = Recorder::default();
    telemetry::init(&config.log, config.sandbox.then(|| recorder.layer()));
    let mut service = startup::start(&config, recorder).await?;
    print(&format!("listening on http://{}\n", service.address))?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = parent_gone(config.exit_with_parent) => {}
        end = service.ended() => {
            tracing::error!(end, "not fit to go on");
            return Ok(ExitCode::FAILURE);
        }
    }
    tracing::info!("stopping");
    if tokio::time::timeout(EXIT_WITHIN, service.stop()).await.is_err() {
        tracing::error!("did not stop in order");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns when standard input ends, if that is what to watch for: a supervisor that dies closes it.
async fn parent_gone(watch: bool) {
    if !watch {
        return std::future::pending().await;
    }
    let (gone, wait) = tokio::sync::oneshot::channel();
    // A thread of its own: a blocking task that never ends would hold the runtime's shutdown up.
    std::thread::spawn(move || {
        let _end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _nobody = gone.send(());
    });
    let _gone = wait.await;
}

async fn migrate(options: &cli::Migrate) -> Result<ExitCode, BoxError> {
    schema::migrate(&options.database.database_url).await?;
    let said = if options.json { r#"{"status":"up_to_date"}"# } else { "the database is up to date" };
    print(&format!("{said}\n"))?;
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
        eprintln!("ridematch: waiting until nothing is unsettled, {} s at most", at_most.as_secs());
    }
    let report = Auditor::run(&auditor, options.settle()).await?;
    let said = if options.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.to_string() };
    print(&said)?;
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(feature = "sandbox")]
async fn city(options: &city::Cli) -> Result<ExitCode, BoxError> {
    let launcher = async |wanted: city::LaunchOptions| local::launch(program(), wanted).await;
    tokio::select! {
        end = city::run(options, launcher) => Ok(end?),
        () = parent_gone(options.exit_with_parent) => Ok(ExitCode::SUCCESS),
    }
}
