//! The pages in the browser, beside the service that keeps running.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use launcher::{
    clock::{self, Stopwatch},
    files,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Context;
use crate::{
    Result,
    host::{Day, Game, Reader, Script},
    pack::{Catalog, Drill, Pack, load},
    page::{Brief, Notebook, Observed, Page, Upstream},
    session::Session,
    stack::Served,
};

/// The usual port of the pages.
const PORT: u16 = 8099;

/// Between two readings of the figures.
const EVERY: Duration = Duration::from_secs(1);

/// How long a start waits for the pages.
const WITHIN: Duration = Duration::from_secs(5);

/// Questions of a debriefing when the pack has none.
const DEBRIEF: [&str; 4] = [
    "What did we see first, and what would have shown it earlier?",
    "Which of our assumptions was wrong, and which evidence changed it?",
    "Could the harm have been stopped before the cause was known?",
    "Which test, metric or alert do we add, and who adds it?",
];

/// Which page is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageRequest {
    number: u16,
    blind: bool,
    /// Where the pages of a game day listen; absent if it is none.
    game: Option<SocketAddr>,
    /// What the facilitator's address carries.
    key: String,
}

/// Where the pages are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageAddresses {
    /// The page of the drill.
    pub drill: String,
    /// The page of the facilitator of a game day.
    pub facilitator: Option<String>,
}

impl PageRequest {
    /// The page of a session.
    pub fn of(session: &Session, game: Option<SocketAddr>) -> Self {
        Self { number: session.number, blind: session.blind, game, key: key() }
    }

    /// The page that the session had before.
    pub fn again(context: &Context, session: &Session) -> Self {
        let former = files::read_json(&request_file(context)).ok().flatten();
        former.unwrap_or_else(|| Self::of(session, None))
    }
}

/// A key that cannot be guessed.
fn key() -> String {
    #[allow(clippy::disallowed_methods, reason = "a secret must not repeat with a seed")]
    let mut random = rand::rng();
    format!("{:032x}", random.random::<u128>())
}

/// Writes what the detached process reads.
///
/// # Errors
///
/// The file can't be written.
pub(super) fn prepare(context: &Context, request: &PageRequest) -> Result<()> {
    std::fs::remove_file(addresses_file(context)).ok();
    Ok(files::replace_json(&request_file(context), request)?)
}

/// Waits until the pages are served. `None`: they are not, and the log of the detached process says why.
pub(super) async fn wait(context: &Context) -> Option<PageAddresses> {
    let waited = Stopwatch::start();
    while waited.elapsed() < WITHIN {
        if let Ok(Some(addresses)) = files::read_json(&addresses_file(context)) {
            return Some(addresses);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

/// Serves the pages of the stack that this process starts. Never ends: without pages the service still runs.
pub(super) async fn run(context: &Context) {
    if let Err(error) = serve(context).await {
        eprintln!("the pages are not served: {error}");
    }
    std::future::pending().await
}

async fn serve(context: &Context) -> Result<()> {
    let request: PageRequest = files::read_json(&request_file(context))?.ok_or("no page is wanted")?;
    let drill = load::find(&context.checkout, &request.number.to_string())?;
    let served = loop {
        if let Ok(Some(served)) = Served::find(&context.paths.running()) {
            break served;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let state = &served.state;
    let sources = (state.logs.clone(), state.database_url.clone(), context.paths.tree());
    let observed = Arc::new(Observed::new(sources, drill.card.page.clone(), clock::now()));
    let day = match request.game {
        Some(_) => Some(day(context, &request, &drill, &state.database_url).await?),
        None => None,
    };
    let page = Page {
        brief: brief(&request, &drill),
        upstream: Upstream::new(Some(state.base_url.clone()))?,
        observer: observed.clone(),
        notebook: context.paths.notebook(),
        day,
    };
    let wanted = request.game.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    // If the port is in use, any free one is taken.
    let free = SocketAddr::from((wanted.ip(), 0));
    let pages = crate::page::serve(wanted, page.clone()).or_else(|_| crate::page::serve(free, page))?;
    let url = pages.url(u32::from(request.number));
    let facilitator = request.game.map(|_| format!("{url}/facilitate?key={}", request.key));
    files::replace_json(&addresses_file(context), &PageAddresses { drill: url, facilitator })?;
    loop {
        // A figure that can't be read is read a second later.
        if let Ok(figures) = served.figures() {
            observed.record(&figures);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn brief(request: &PageRequest, drill: &Drill) -> Brief {
    let card = &drill.card;
    let severity = serde_json::to_value(card.severity).ok().and_then(|value| value.as_str().map(str::to_owned));
    Brief {
        number: u32::from(request.number),
        title: if request.blind { "A blind drill".to_owned() } else { card.title.clone() },
        severity: severity.unwrap_or_default(),
        level: (!request.blind).then_some(card.level),
        minutes: u32::from(card.minutes),
        page: card.page.clone(),
        ticket: card.ticket.clone(),
        is_game: request.game.is_some(),
    }
}

async fn day(context: &Context, request: &PageRequest, drill: &Drill, database_url: &str) -> Result<Day> {
    let game = Game::open(script(drill, &drill.pack()?), request.key.clone(), context.paths.game())?;
    let reader = Reader::open(database_url.parse()?).await?;
    Ok(Day { game: Arc::new(game), reader, started: Stopwatch::start().started() })
}

/// What the facilitator knows.
fn script(drill: &Drill, pack: &Pack) -> Script {
    let debrief = DEBRIEF.map(str::to_owned).to_vec();
    Script {
        title: format!("{}. {}", drill.number, drill.card.title),
        cause: cause(pack),
        hints: pack.hint.iter().map(|hint| hint.text.trim().to_owned()).collect(),
        second_ticket: pack.host.second_ticket.trim().to_owned(),
        debrief: if pack.host.debrief.is_empty() { debrief } else { pack.host.debrief.clone() },
    }
}

/// What was pinned and, after a game day, the team's report, in Markdown.
///
/// # Errors
///
/// A file can't be read.
pub(super) fn report(context: &Context, session: &Session) -> Result<String> {
    let mut text = String::new();
    for note in Notebook::open(context.paths.notebook())?.notes() {
        if text.is_empty() {
            text.push_str("\n## Notebook\n\n");
        }
        let words = note.text.replace('\n', " ");
        text.push_str(&format!("- {}:{:02} {}: {words}\n", note.at_s / 60, note.at_s % 60, note.kind));
    }
    if context.paths.game().is_file() {
        let drill = context.drill(session)?;
        let game = Game::open(script(&drill, &drill.pack()?), String::new(), context.paths.game())?;
        text.push_str(&format!("\n{}", game.report()));
    }
    Ok(text)
}

fn request_file(context: &Context) -> std::path::PathBuf {
    context.paths.running().join("page-request.json")
}

/// The cause in the words of the catalog.
fn cause(pack: &Pack) -> String {
    let Pack { component, mechanism, .. } = pack;
    let catalog = Catalog::read().ok();
    let summary = catalog.as_ref().and_then(|catalog| catalog.mechanism(mechanism)).map(|known| known.summary.as_str());
    format!("{mechanism} in {component}: {}", summary.unwrap_or("not in the catalog"))
}

fn addresses_file(context: &Context) -> std::path::PathBuf {
    context.paths.running().join("page.json")
}
