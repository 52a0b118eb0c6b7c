//! The rehearsal at `/rehearse`: the page, its files, and the sessions as JSON. The OpenAPI document leaves them out.

mod by_link;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::shell::{self, Shell};
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::rehearsal::labs::LabResult;
use crate::sandbox::rehearsal::links::{KEY_BYTES, Link, Role, path_of};
use crate::sandbox::rehearsal::marking::mark;
use crate::sandbox::rehearsal::page::PageFile;
use crate::sandbox::rehearsal::report::report;
use crate::sandbox::rehearsal::schedule::{Setup, check_setup};
use crate::sandbox::rehearsal::session::{FreshSession, LinkKeys, Pair, Refused, Session, SessionCommand, Stage};
use crate::sandbox::rehearsal::store::{Store, StoreError};
use crate::sandbox::rehearsal::view::{Companion, choices, partner_of, summary, view};
use crate::sandbox::rehearsal::{Content, Rehearsal};

pub use by_link::serve_partners;

/// The path of the page.
const PAGE: &str = "/rehearse";

/// Registers the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    let (get, post) = (web::get, web::post);
    let api = web::scope("/rehearse/api")
        .wrap(actix_web::middleware::from_fn(guard))
        .service(web::resource("/choices").route(get().to(show_choices)))
        .service(web::resource("/sessions").route(get().to(list)).route(post().to(create)))
        .service(web::resource("/sessions/{id}").route(get().to(show)).route(post().to(execute)))
        .service(web::resource("/sessions/{id}/report").route(get().to(show_report)))
        .service(web::resource("/sessions/{id}/swap").route(post().to(swap)));
    config
        // Before the scope, whose prefix their addresses have.
        .configure(by_link::configure)
        .service(api)
        .service(web::resource("/rehearse").route(get().to(page)))
        .service(web::resource("/rehearse/sessions/{id}").route(get().to(page)));
}

/// The page is the same for each session: its script reads the address.
async fn page(http: HttpRequest) -> HttpResult {
    page_named(&http, "rehearsal.html", Shell::of(&http))
}

fn page_named(http: &HttpRequest, name: &str, shell: Shell) -> HttpResult {
    let file = PageFile::named(name).ok_or_else(|| Refusal::not_found("page"))?;
    Ok(shell::send(http, file.media_type, shell.render(&file.content(), PAGE).into_bytes()))
}

async fn file(http: HttpRequest) -> HttpResult {
    let found = PageFile::named(http.match_info().query("file")).filter(|file| !file.name.ends_with(".html"));
    let file = found.ok_or_else(|| Refusal::not_found("file"))?;
    Ok(shell::send(&http, file.media_type, file.content().into_owned().into_bytes()))
}

async fn show_choices(_request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    Ok(fresh(&choices(&rehearsal.content)))
}

async fn list(_request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let found = on_disk(&rehearsal, |rehearsal, store| {
        let listed = store.list().map_err(refusal)?;
        let lines = listed.sessions.iter().map(|one| summary(&rehearsal.content, one, &results(rehearsal, one)));
        Ok(json!({"sessions": lines.collect::<Vec<_>>(), "unreadable": listed.unreadable}))
    });
    Ok(fresh(&found.await?))
}

/// The choices of a new session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSession {
    cut: String,
    minutes: u32,
    level: String,
    seed: Option<u32>,
    speed: Option<u32>,
    /// Whether another person asks and marks.
    #[serde(default)]
    partner: bool,
}

/// What is random in a new session.
fn draw_session(platform: &Platform, created_at: MachineTime) -> FreshSession {
    let random = platform.random.uuid(created_at).simple().to_string();
    let ending = &random[random.len() - 6..];
    let key = || hex::encode(&platform.random.secret()[..KEY_BYTES]);
    FreshSession {
        id: format!("{}-{ending}", created_at.utc().format("%Y%m%d-%H%M%S")),
        keys: LinkKeys { partner: key(), candidate: key() },
        // A seed of seven digits can be written down, and given again.
        seed: u64::from(u32::from_str_radix(ending, 16).unwrap_or_default() % 10_000_000),
        created_at,
    }
}

async fn create(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let NewSession { cut, minutes, level, seed, speed, partner } = request.json()?;
    let now = request.platform.clock.machine();
    let drawn = draw_session(&request.platform, now);
    let seed = seed.map_or(drawn.seed, u64::from);
    let setup = Setup { cut, minutes, level, seed, speed: speed.unwrap_or(1) };
    check_setup(&rehearsal.content, &setup).map_err(|(field, detail)| invalid(field, &detail))?;
    let made = on_disk(&rehearsal, move |rehearsal, store| {
        let pair = partner.then(|| Pair::new(drawn.keys, false));
        let session = Session { pair, ..Session::new(&rehearsal.content, drawn.id, setup, now) };
        store.create(&session).map_err(refusal)?;
        Ok(candidate_view(rehearsal, &session, now))
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// Who asks for a session.
#[derive(Debug)]
enum Access {
    /// The user of this machine, by the session's id.
    Owner(String),
    /// By a link.
    Link(Link),
}

impl Access {
    fn session(&self) -> &str {
        match self {
            Self::Owner(id) => id,
            Self::Link(link) => link.session(),
        }
    }
}

/// Reads a session that the caller may see. A wrong link and a session that does not exist are the same.
fn admitted(store: &Store, access: &Access) -> Result<Session> {
    match (access, store.load(access.session())) {
        // As the candidate, they would see the marks of the guest before both have handed in.
        (Access::Owner(_), Ok(session)) if session.is_of_guest() => {
            let detail = "You are the partner in this session. Open it from the list at /rehearse.";
            Err(Refusal::new(Code::NotFound, detail).into())
        }
        (Access::Owner(_), loaded) => loaded.map_err(refusal),
        (Access::Link(link), Ok(session)) if link.opens(&session) => Ok(session),
        (Access::Link(_), Err(error @ StoreError::Disk { .. })) => Err(refusal(error)),
        (Access::Link(_), _) => Err(unknown_link()),
    }
}

fn unknown_link() -> Error {
    let detail = "This link names no session. Ask for it again: each session has links of its own.";
    Refusal::new(Code::NotFound, detail).field("token", "names no session").into()
}

fn owner(request: &Request<Public>) -> Access {
    Access::Owner(request.http.match_info().query("id").to_owned())
}

async fn show(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    show_to_candidate(&request, &rehearsal, owner(&request)).await
}

async fn execute(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    execute_as_candidate(&request, &rehearsal, owner(&request)).await
}

async fn show_report(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    report_to_candidate(&rehearsal, owner(&request)).await
}

async fn swap(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    swap_roles(&request, &rehearsal, owner(&request), Role::Partner).await
}

async fn show_to_candidate(request: &Request<Public>, rehearsal: &Rehearsal, access: Access) -> HttpResult {
    let now = request.platform.clock.machine();
    let shown = on_disk(rehearsal, move |rehearsal, store| {
        let session = admitted(store, &access)?;
        Ok(candidate_view(rehearsal, &session, now))
    });
    Ok(fresh(&shown.await?))
}

async fn execute_as_candidate(request: &Request<Public>, rehearsal: &Rehearsal, access: Access) -> HttpResult {
    let command: SessionCommand = request.json()?;
    let now = request.platform.clock.machine();
    let executed = on_disk(rehearsal, move |rehearsal, store| {
        admitted(store, &access)?;
        let content = &rehearsal.content;
        let changed = store.change(access.session(), |session| session.execute(content, command, now));
        let (session, result) = changed.map_err(refusal)?;
        result.map_err(refused)?;
        if session.stage == Stage::Done {
            keep_report(rehearsal, store, &session)?;
        }
        Ok(candidate_view(rehearsal, &session, now))
    });
    Ok(fresh(&executed.await?))
}

/// The report as Markdown. It is written anew, so that bets are settled by labs that were run later.
async fn report_to_candidate(rehearsal: &Rehearsal, access: Access) -> HttpResult {
    let written = on_disk(rehearsal, move |rehearsal, store| {
        let session = admitted(store, &access)?;
        if session.stage != Stage::Done {
            let detail = "The report is written when the marks are handed in.";
            return Err(Refusal::new(Code::InvalidTransition, detail).into());
        }
        keep_report(rehearsal, store, &session)
    });
    let text = written.await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/markdown; charset=utf-8")
        .body(text))
}

/// Makes the session with the roles swapped, once. `role` is that of the caller in it.
async fn swap_roles(request: &Request<Public>, rehearsal: &Rehearsal, access: Access, role: Role) -> HttpResult {
    request.no_fields()?;
    let drawn = draw_session(&request.platform, request.platform.clock.machine());
    let made = on_disk(rehearsal, move |rehearsal, store| {
        admitted(store, &access)?;
        let changed = store.change(access.session(), |session| session.swap(drawn));
        let (session, swap) = changed.map_err(refusal)?;
        let swap = swap.map_err(refused)?;
        store.create_if_missing(&session.swapped(&rehearsal.content, &swap)).map_err(refusal)?;
        Ok(json!({"path": path_of(role, &swap.id, &swap.keys)}))
    });
    Ok(HttpResponse::Created().json(made.await?))
}

/// A session as the candidate's page shows it.
fn candidate_view(rehearsal: &Rehearsal, session: &Session, now: MachineTime) -> Value {
    let content = &rehearsal.content;
    let mut shown = view(content, session, &results(rehearsal, session));
    let is_present = rehearsal.presence.is_present(&session.id, now);
    shown["pair"] = partner_of(content, session, &Companion { is_present, base: rehearsal.link_base() });
    shown
}

/// Writes the report beside the session, and returns it.
fn keep_report(rehearsal: &Rehearsal, store: &Store, session: &Session) -> Result<String> {
    let content: &Content = &rehearsal.content;
    let marks = mark(content, session, &results(rehearsal, session));
    let listed = store.list().map_err(refusal)?;
    let done = session.earlier(&listed.sessions).into_iter().rev().filter(|one| one.stage == Stage::Done);
    let earlier: Vec<_> = done.map(|one| summary(content, one, &[])).collect();
    let text = report(content, session, &marks, &earlier);
    store.keep_report(&session.id, &text).map_err(refusal)?;
    Ok(text)
}

/// The results of the labs that a finished session has bet on. There are none before.
fn results(rehearsal: &Rehearsal, session: &Session) -> Vec<LabResult> {
    let bets = session.bets.iter().filter(|_| session.stage == Stage::Done);
    bets.filter_map(|placed| rehearsal.labs.result(&placed.lab)).collect()
}

/// Runs `work` with the store on a thread that may block.
async fn on_disk<T: Send + 'static>(
    rehearsal: &Rehearsal,
    work: impl FnOnce(&Rehearsal, &Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    let rehearsal = rehearsal.clone();
    let Some(store) = rehearsal.store.clone() else {
        let detail = "This service has no directory for rehearsals. Start it by `cargo rehearse` or `ridematch demo`, or set \
                      RIDEMATCH_REHEARSAL_DIR.";
        return Err(Refusal::new(Code::NotFound, detail).into());
    };
    let done = web::block(move || work(&rehearsal, &store)).await;
    done.map_err(|error| Error::Bug(format!("a rehearsal's task: {error}")))?
}

fn refusal(error: StoreError) -> Error {
    match error {
        StoreError::Missing => Refusal::not_found("session").into(),
        StoreError::Unreadable(_) => {
            Refusal::new(Code::NotFound, format!("{error}. The other sessions are not affected.")).into()
        }
        StoreError::Disk(_) => {
            tracing::error!(%error, "a rehearsal is not kept");
            Refusal::new(Code::Unavailable, format!("{error}. Make space, and try again.")).into()
        }
    }
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::State(detail) => {
            Refusal::new(Code::InvalidTransition, detail).field("/do", "is not possible now").into()
        }
        Refused::Field(field, detail) => invalid(field, &detail),
    }
}

fn invalid(field: &str, detail: &str) -> Error {
    Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(format!("/{field}"), detail).into()
}

fn fresh(body: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
