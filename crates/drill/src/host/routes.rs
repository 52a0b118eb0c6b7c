//! The addresses of a game day. Those of the facilitator carry the key.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::game::{Act, Entry, Game, Kind};
use super::sql::Reader;
use crate::page::problem;

/// What the addresses need.
#[derive(Debug, Clone)]
pub struct Day {
    /// The game.
    pub game: Arc<Game>,
    /// Reads the database.
    pub reader: Reader,
    /// When the drill started.
    pub started: Instant,
}

/// What a responder adds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    by: String,
    kind: Kind,
    text: String,
}

/// A query of a responder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    by: String,
    query: String,
}

/// The facilitator's key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: String,
}

/// The facilitator's page.
const PAGE: &str = include_str!("facilitator.html");

/// Adds the addresses of a game day, if it is one.
pub fn configure(day: Option<Day>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let Some(day) = day else { return };
        config
            .app_data(web::Data::new(day))
            .service(web::resource("/drills/{number}/facilitate").route(web::get().to(facilitate)))
            .service(web::resource("/drills/{number}/game").route(web::get().to(shown)).route(web::post().to(say)))
            .service(web::resource("/drills/{number}/game/all").route(web::get().to(all)).route(web::post().to(act)))
            .service(web::resource("/drills/{number}/game/report").route(web::get().to(report)))
            .service(web::resource("/drills/{number}/sql").route(web::post().to(sql)));
    }
}

impl Day {
    fn at_s(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Puts a pin of the notebook on the timeline.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn pinned(&self, kind: &str, text: &str) -> io::Result<()> {
        self.add("responders", Kind::Pin, &format!("{kind}: {text}"))
    }

    fn add(&self, by: &str, kind: Kind, text: &str) -> io::Result<()> {
        let by = by.trim().chars().take(60).collect();
        self.game.add(Entry { at_s: self.at_s(), by, kind, text: text.trim().to_owned() })
    }
}

/// The key is asked for by the page's own requests, so that a wrong one is a clear answer there.
async fn facilitate() -> HttpResponse {
    crate::page::send("text/html; charset=utf-8", PAGE)
}

async fn shown(day: web::Data<Day>) -> HttpResponse {
    HttpResponse::Ok().json(day.game.shown(false))
}

async fn all(day: web::Data<Day>, key: web::Query<Key>) -> HttpResponse {
    if day.game.is_facilitator(&key.key) { HttpResponse::Ok().json(day.game.shown(true)) } else { no_key() }
}

async fn say(day: web::Data<Day>, said: web::Json<Said>) -> HttpResponse {
    if !said.kind.is_theirs() || said.text.trim().is_empty() || said.by.trim().is_empty() {
        let detail = "`kind` is update, diagnosis or action, and `by` and `text` are not empty.";
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid entry", detail);
    }
    kept(day.add(&said.by, said.kind, &said.text), &day, false)
}

async fn act(day: web::Data<Day>, key: web::Query<Key>, act: web::Json<Act>) -> HttpResponse {
    if !day.game.is_facilitator(&key.key) {
        return no_key();
    }
    kept(day.game.act(day.at_s(), act.into_inner()), &day, true)
}

async fn report(day: web::Data<Day>, key: web::Query<Key>) -> HttpResponse {
    if !day.game.is_facilitator(&key.key) {
        return no_key();
    }
    HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(day.game.report())
}

async fn sql(day: web::Data<Day>, query: web::Json<Query>) -> HttpResponse {
    if let Err(error) = day.add(&query.by, Kind::Sql, &query.query) {
        return kept(Err(error), &day, false);
    }
    match day.reader.query(&query.query).await {
        Ok(rows) => HttpResponse::Ok().json(rows),
        Err(why) => problem(StatusCode::UNPROCESSABLE_ENTITY, "query_failed", "Query failed", &why),
    }
}

fn kept(result: io::Result<()>, day: &Day, to_facilitator: bool) -> HttpResponse {
    match result {
        Ok(()) => HttpResponse::Created().json(day.game.shown(to_facilitator)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            problem(StatusCode::CONFLICT, "refused", "Not possible now", &format!("{error}."))
        }
        Err(error) => {
            let detail = format!("It is not kept: {error}. Make space and send it again.");
            problem(StatusCode::INSUFFICIENT_STORAGE, "not_kept", "Not kept", &detail)
        }
    }
}

fn no_key() -> HttpResponse {
    let detail = "The facilitator's address has a key, `?key=…`; `cargo drill host` has printed it.";
    problem(StatusCode::FORBIDDEN, "no_key", "Not the facilitator's key", detail)
}
