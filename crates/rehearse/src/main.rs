//! `cargo rehearse`: the page `/rehearse` of a demo that runs already, or of one that this starts and stops.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use launcher::BoxError;
use tokio::process::{Child, Command};

/// Rehearse the interview in the browser: starts the demo, or uses the one that runs
#[derive(Debug, Parser)]
#[command(name = "rehearse")]
struct Cli {
    /// Address of the demo
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address at which a partner on another machine reaches their page, and nothing else: 0.0.0.0:8090
    #[arg(long, value_name = "ADDRESS")]
    partner_listen: Option<SocketAddr>,
    /// Print the address of the page, and open no browser
    #[arg(long)]
    no_open: bool,
}

/// What answers at an address.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing.
    Nothing,
    /// A demo with the page.
    Demo,
    /// Another program, or a service without the page.
    Another,
}

/// The first start compiles the service, and may fetch a PostgreSQL.
const READY_WITHIN: Duration = Duration::from_secs(30 * 60);
const POLL: Duration = Duration::from_millis(300);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rehearse: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<ExitCode, BoxError> {
    let page = format!("http://{}/rehearse", cli.listen);
    match look(&page).await? {
        Found::Demo if cli.partner_listen.is_some() => {
            let detail = "a demo runs already, and cannot open another address now: stop it first";
            return Err(detail.into());
        }
        Found::Demo => {
            println!("A demo runs already. The rehearsal: {page}");
            show(cli, &page);
            return Ok(ExitCode::SUCCESS);
        }
        Found::Another => {
            let detail = "answers, and has no rehearsal: stop that program, or name another address with --listen";
            return Err(format!("{} {detail}", cli.listen).into());
        }
        Found::Nothing => {}
    }
    let mut demo = start(cli)?;
    tokio::select! {
        end = demo.wait() => return Err(format!("the demo ended before it was ready ({})", end?).into()),
        ready = wait_for(&page) => ready?,
    }
    println!("\nThe rehearsal: {page}\nCtrl-C stops everything; your sessions are kept.");
    show(cli, &page);
    // Ctrl-C reaches the demo as well, which stops in order.
    let end = tokio::select! {
        end = demo.wait() => end?,
        _ = tokio::signal::ctrl_c() => demo.wait().await?,
    };
    Ok(if end.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the demo by cargo, in the source tree, where the results of labs are.
fn start(cli: &Cli) -> Result<Child, BoxError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut command, listen) = (Command::new(cargo), cli.listen.to_string());
    command.args(["run", "--release", "--quiet", "--bin", "ridematch", "--", "demo", "--listen", &listen]);
    if let Some(address) = cli.partner_listen {
        command.args(["--partner-listen", &address.to_string()]);
    }
    // The banner has tokens and commands that a rehearsal does not need; what goes wrong is on standard error.
    command.current_dir(tree).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    println!("Starting the demo. The first time this compiles the service.");
    Ok(command.spawn().map_err(|error| format!("cargo cannot be started: {error}"))?)
}

async fn look(page: &str) -> Result<Found, BoxError> {
    // A repeated call fails, and changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = launcher::http_client().timeout(ANSWERS_WITHIN).build()?;
    match client.get(page).send().await {
        Ok(response) if response.status().is_success() => {
            let is_ours = response.text().await?.contains("id=\"rehearsal\"");
            Ok(if is_ours { Found::Demo } else { Found::Another })
        }
        Ok(_) => Ok(Found::Another),
        Err(error) if error.is_connect() => Ok(Found::Nothing),
        Err(_) => Ok(Found::Another),
    }
}

async fn wait_for(page: &str) -> Result<(), BoxError> {
    let ready = async {
        while look(page).await? != Found::Demo {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    tokio::time::timeout(READY_WITHIN, ready).await.map_err(|_| "the demo is not ready after half an hour")?
}

/// Opens the page in the user's browser, if a program for that is there.
fn show(cli: &Cli, page: &str) {
    if cli.no_open {
        return;
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened = Command::new(opener).arg(page).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if opened.is_err() {
        println!("Open it in a browser.");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with a body.
    fn answering(body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _read = stream.read(&mut [0; 2048]);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                .expect("written");
        });
        format!("http://{address}/rehearse")
    }

    #[tokio::test]
    async fn demo_another_program_and_nothing_are_distinguished() {
        assert_eq!(look(&answering("<main id=\"rehearsal\">")).await.expect("looked"), Found::Demo);
        assert_eq!(look(&answering("hello")).await.expect("looked"), Found::Another);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        assert_eq!(look(&format!("http://{free}/rehearse")).await.expect("looked"), Found::Nothing);
    }
}
