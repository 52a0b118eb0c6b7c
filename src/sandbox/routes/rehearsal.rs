//! The rehearsal at `/rehearse`: the page, its files, and the sessions as JSON. The OpenAPI document leaves them out.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::guard;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::shell::{self, Shell};
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::rehearsal::labs::LabResult;
use crate::sandbox::rehearsal::marking::mark;
use crate::sandbox::rehearsal::page::PageFile;
use crate::sandbox::rehearsal::report::report;
use crate::sandbox::rehearsal::schedule::{Setup, check_setup};
use crate::sandbox::rehearsal::session::{Refused, Session, SessionCommand, Stage};
use crate::sandbox::rehearsal::store::{Store, StoreError};
use crate::sandbox::rehearsal::view::{choices, summary, view};
use crate::sandbox::rehearsal::{Content, Rehearsal};

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
        .service(web::resource("/sessions/{id}/report").route(get().to(show_report)));
    config
        .service(api)
        .service(web::resource("/rehearse").route(get().to(page)))
        .service(web::resource("/rehearse/sessions/{id}").route(get().to(page)))
        .service(web::resource("/rehearse/files/{file}").route(get().to(file)));
}

/// The page is the same for each session: its script reads the address.
async fn page(http: HttpRequest) -> HttpResult {
    let file = PageFile::named("rehearsal.html").ok_or_else(|| Refusal::not_found("page"))?;
    Ok(shell::send(&http, file.media_type, Shell::of(&http).render(&file.content(), PAGE).into_bytes()))
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
}

async fn create(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let NewSession { cut, minutes, level, seed, speed } = request.json()?;
    let now = request.platform.clock.machine();
    let random = request.platform.random.uuid(now).simple().to_string();
    let ending = &random[random.len() - 6..];
    // A seed of seven digits can be written down, and given again.
    let drawn = u32::from_str_radix(ending, 16).unwrap_or_default() % 10_000_000;
    let seed = seed.unwrap_or(drawn);
    let setup = Setup { cut, minutes, level, seed: u64::from(seed), speed: speed.unwrap_or(1) };
    check_setup(&rehearsal.content, &setup).map_err(|(field, detail)| invalid(field, &detail))?;
    let id = format!("{}-{ending}", now.utc().format("%Y%m%d-%H%M%S"));
    let made = on_disk(&rehearsal, move |rehearsal, store| {
        let session = Session::new(&rehearsal.content, id, setup, now);
        store.create(&session).map_err(refusal)?;
        Ok(view(&rehearsal.content, &session, &[]))
    });
    Ok(HttpResponse::Created().json(made.await?))
}

async fn show(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let id = request.http.match_info().query("id").to_owned();
    let shown = on_disk(&rehearsal, move |rehearsal, store| {
        let session = store.load(&id).map_err(refusal)?;
        Ok(view(&rehearsal.content, &session, &results(rehearsal, &session)))
    });
    Ok(fresh(&shown.await?))
}

async fn execute(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let command: SessionCommand = request.json()?;
    let (now, id) = (request.platform.clock.machine(), request.http.match_info().query("id").to_owned());
    let executed = on_disk(&rehearsal, move |rehearsal, store| {
        let content = &rehearsal.content;
        let changed = store.change(&id, |session| session.execute(content, command, now)).map_err(refusal)?;
        let (session, result) = changed;
        result.map_err(|refused| match refused {
            Refused::State(detail) => Refusal::new(Code::InvalidTransition, detail).into(),
            Refused::Field(field, detail) => invalid(field, &detail),
        })?;
        if session.stage == Stage::Done {
            keep_report(rehearsal, store, &session)?;
        }
        Ok(view(content, &session, &results(rehearsal, &session)))
    });
    Ok(fresh(&executed.await?))
}

/// The report as Markdown. It is written anew, so that bets are settled by labs that were run later.
async fn show_report(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let id = request.http.match_info().query("id").to_owned();
    let written = on_disk(&rehearsal, move |rehearsal, store| {
        let session = store.load(&id).map_err(refusal)?;
        if session.stage != Stage::Done {
            let detail = "The report is written when the marking is finished.";
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

/// Writes the report beside the session, and returns it.
fn keep_report(rehearsal: &Rehearsal, store: &Store, session: &Session) -> Result<String> {
    let content: &Content = &rehearsal.content;
    let marks = mark(content, session, &results(rehearsal, session));
    let listed = store.list().map_err(refusal)?;
    let done = listed.sessions.iter().rev().filter(|one| one.stage == Stage::Done && one.id < session.id);
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

fn invalid(field: &str, detail: &str) -> Error {
    Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(format!("/{field}"), detail).into()
}

fn fresh(body: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
