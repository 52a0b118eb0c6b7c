//! The page of a drill in the browser, `/drills/{number}`: ticket, evidence and notebook beside the console of the running service.
//!
//! The page has an address of its own. Everything that is not the page's goes to the service ([`proxy`]), so that links, search and the
//! console work as they do there; what would disturb the drill is refused ([`is_locked`]).

mod notebook;
mod observed;
mod proxy;

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::{self, Day};

pub use notebook::{Note, Notebook};
pub use observed::Observed;
pub use proxy::Upstream;

/// Allows only resources of this address, and a frame with the service's console.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The files of the page: name, media type, content.
const FILES: [(&str, &str, &str); 5] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("chart.js", "text/javascript; charset=utf-8", include_str!("chart.js")),
    ("incident.js", "text/javascript; charset=utf-8", include_str!("incident.js")),
    ("facilitator.js", "text/javascript; charset=utf-8", include_str!("../host/facilitator.js")),
];

/// The page itself.
const PAGE: &str = include_str!("page.html");

/// What the page says before anything is observed.
#[derive(Debug, Clone, Serialize)]
pub struct Brief {
    /// The number of the drill.
    pub number: u32,
    /// The title, which names the symptom.
    pub title: String,
    /// The severity: "SEV2".
    pub severity: String,
    /// The level, 1 to 5; unknown in a blind drill.
    pub level: Option<u8>,
    /// The minutes that the drill is meant to take.
    pub minutes: u32,
    /// What the pager said.
    pub page: String,
    /// The customer's words.
    pub ticket: String,
    /// Whether it is a game day.
    pub is_game: bool,
}

/// A question to the running drill.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Seconds since the start of the drill from which on answers count; the start if absent.
    pub from: Option<u32>,
    /// Seconds since the start of the drill until which answers count; now if absent.
    pub until: Option<u32>,
    /// An id to look for: of a trip, a payment, a driver or a trace.
    pub id: Option<String>,
}

/// What answers the questions of the page.
pub trait Observer: Debug + Send + Sync {
    /// Returns what one panel shows; `None` if there is no such panel.
    fn observe(&self, panel: &str, question: Question) -> BoxFuture<'_, Option<Value>>;
}

/// A page to serve.
#[derive(Debug, Clone)]
pub struct Page {
    /// What the page says.
    pub brief: Brief,
    /// The service.
    pub upstream: Upstream,
    /// What answers the questions.
    pub observer: Arc<dyn Observer>,
    /// The file of the notebook.
    pub notebook: PathBuf,
    /// The game day, if this is one.
    pub day: Option<Day>,
}

/// A page that is being served.
#[derive(Debug)]
pub struct Served {
    /// The address of the page.
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Served {
    /// The URL of the page of a drill.
    pub fn url(&self, number: u32) -> String {
        format!("http://{}/drills/{number}", self.address)
    }

    /// Stops serving.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// Serves a page at an address until it is stopped.
///
/// # Errors
/// The address is in use, or the notebook cannot be read.
pub fn serve(listen: SocketAddr, page: Page) -> io::Result<Served> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let notebook = web::Data::new(Notebook::open(page.notebook.clone())?);
    let (upstream, page) = (web::Data::new(page.upstream.clone()), web::Data::new(page));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .app_data(notebook.clone())
            .app_data(upstream.clone())
            .app_data(web::JsonConfig::default().limit(NOTE_BYTES_MAX))
            .configure(host::configure(page.day.clone()))
            .service(web::resource("/drills/files/{file}").route(web::get().to(file)))
            .service(web::resource("/drills/{number}").route(web::get().to(shown)))
            .service(web::resource("/drills/{number}/brief").route(web::get().to(brief)))
            .service(web::resource("/drills/{number}/observe/{panel}").route(web::get().to(observe)))
            .service(
                web::resource("/drills/{number}/notes").route(web::get().to(notes)).route(web::post().to(add_note)),
            )
            .default_service(web::to(proxy::forward))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Served { address, handle })
}

/// The longest note with its evidence, in bytes.
const NOTE_BYTES_MAX: usize = 16 << 10;

/// Whether a request would disturb the drill: the experiments, the provider's faults, the clock, kill and reset. Reads are open, and so is
/// what a rider or an operator may do. Tokens are open too, since the console needs them.
pub fn is_locked(method: &Method, path: &str) -> bool {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    !is_read && path.starts_with("/v1/sandbox/") && path != "/v1/sandbox/tokens"
}

/// Sends a problem document.
pub(crate) fn problem(status: StatusCode, code: &str, title: &str, detail: &str) -> HttpResponse {
    let body = json!({"title": title, "status": status.as_u16(), "detail": detail, "code": code});
    HttpResponse::build(status).content_type("application/problem+json").body(body.to_string())
}

fn no_such_drill(page: &Page) -> HttpResponse {
    let number = page.brief.number;
    let detail = format!("The drill that runs is number {number}: /drills/{number}.");
    problem(StatusCode::NOT_FOUND, "not_found", "Not found", &detail)
}

async fn shown(page: web::Data<Page>, number: web::Path<String>) -> HttpResponse {
    if number.parse() != Ok(page.brief.number) {
        return no_such_drill(&page);
    }
    send("text/html; charset=utf-8", PAGE)
}

async fn file(name: web::Path<String>) -> HttpResponse {
    match FILES.iter().find(|(own, ..)| *own == name.as_str()) {
        Some((_, media_type, content)) => send(media_type, content),
        None => problem(StatusCode::NOT_FOUND, "not_found", "Not found", "There is no such file."),
    }
}

pub(crate) fn send(media_type: &'static str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(content)
}

async fn brief(page: web::Data<Page>, number: web::Path<String>) -> HttpResponse {
    if number.parse() != Ok(page.brief.number) {
        return no_such_drill(&page);
    }
    HttpResponse::Ok().json(&page.brief)
}

async fn observe(
    page: web::Data<Page>,
    path: web::Path<(String, String)>,
    question: web::Query<Question>,
) -> HttpResponse {
    if path.0.parse() != Ok(page.brief.number) {
        return no_such_drill(&page);
    }
    match page.observer.observe(&path.1, question.into_inner()).await {
        Some(answer) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer),
        None => problem(StatusCode::NOT_FOUND, "not_found", "Not found", "There is no such panel."),
    }
}

async fn notes(notebook: web::Data<Notebook>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(notebook.notes())
}

async fn add_note(notebook: web::Data<Notebook>, day: Option<web::Data<Day>>, note: web::Json<Note>) -> HttpResponse {
    let pinned = day.map_or(Ok(()), |day| day.pinned(&note.kind, &note.text));
    match pinned.and_then(|()| notebook.add(note.into_inner())) {
        Ok(notes) => HttpResponse::Created().json(notes),
        Err(error) => {
            let detail = format!("The note is not kept: {error}. Make space and pin it again.");
            problem(StatusCode::INSUFFICIENT_STORAGE, "not_kept", "Note not kept", &detail)
        }
    }
}

#[cfg(test)]
mod tests;
