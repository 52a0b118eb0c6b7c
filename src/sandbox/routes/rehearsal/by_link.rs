//! The rehearsal by link: the partner's page, and the candidate's on another machine.
//!
//! The secret in a link is the authorization, so these routes take any `Host`: a tunnel has a name of its own. A partner reads the
//! mirrored session, and writes ticks, curveballs and marks; no route of theirs writes a card.

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig};
use actix_web::{App, HttpRequest, HttpServer};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Access, admitted, execute_as_candidate, file, fresh, keep_report, on_disk, page_named, refusal, refused,
    report_to_candidate, results, show_to_candidate, swap_roles,
};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::answer_head;
use crate::platform::http::connection::limit_unread;
use crate::platform::http::middleware::observe;
use crate::platform::http::request::BODY_BYTES_MAX;
use crate::platform::http::shell::{self, Shell};
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::console;
use crate::sandbox::rehearsal::Rehearsal;
use crate::sandbox::rehearsal::links::{Link, Role};
use crate::sandbox::rehearsal::session::{PartnerCommand, Session, Stage};
use crate::sandbox::rehearsal::view::partner_view;
use crate::sandbox::routes::book;

/// A link needs none of the other pages, and their script would ask for what is not served to it.
const SHELL: Shell = Shell { links: &[], script: None };

/// The most connections of partners; a browser opens six.
const CONNECTIONS_MAX: usize = 64;

/// How long open requests get to finish, seconds. Less than the service itself has.
const DRAIN_S: u64 = 5;

/// Registers the routes of links.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(web::resource("/rehearse/api/partner/{token}").route(get().to(show)).route(post().to(execute)))
        .service(web::resource("/rehearse/api/partner/{token}/swap").route(post().to(swap_of_partner)))
        .service(
            web::resource("/rehearse/api/candidate/{token}")
                .route(get().to(show_candidate))
                .route(post().to(execute_candidate)),
        )
        .service(web::resource("/rehearse/api/candidate/{token}/report").route(get().to(report)))
        .service(web::resource("/rehearse/api/candidate/{token}/swap").route(post().to(swap_of_candidate)))
        .service(web::resource("/rehearse/partner/{token}").route(get().to(partner_page)))
        .service(web::resource("/rehearse/candidate/{token}").route(get().to(candidate_page)))
        .service(web::resource("/rehearse/files/{file}").route(get().to(file)));
}

/// Registers everything that a partner's machine reaches: links, and the book that a report names.
fn configure_listener(config: &mut web::ServiceConfig) {
    config
        .configure(configure)
        .configure(book::configure)
        .configure(shell::configure)
        .service(web::resource("/console/dom.js").route(web::get().to(dom)))
        .service(web::redirect("/", "/book"));
}

/// Listens for partners on other machines, if there is an address for it. `style` adds the style sheet of the book. The future ends at
/// shutdown.
///
/// # Errors
/// If the address is not available.
pub fn serve_partners(
    platform: &Platform,
    rehearsal: &web::Data<Rehearsal>,
    style: fn(&mut web::ServiceConfig),
) -> Result<BoxFuture<'static, ()>> {
    let Some(wanted) = rehearsal.partner_listen else { return Ok(Box::pin(std::future::ready(()))) };
    let (data, rehearsal) = (web::Data::new(platform.clone()), rehearsal.clone());
    let shell = web::Data::new(SHELL);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(rehearsal.clone())
            .app_data(shell.clone())
            .app_data(PayloadConfig::new(BODY_BYTES_MAX))
            .wrap(from_fn(answer_head))
            .wrap(from_fn(observe))
            .configure(configure_listener)
            .configure(style)
    })
    .on_connect(limit_unread)
    .workers(1)
    .max_connections(CONNECTIONS_MAX)
    .disable_signals()
    .shutdown_timeout(DRAIN_S)
    .bind(wanted)
    .map_err(|error| {
        Error::Configuration(format!("cannot listen on {wanted} for partners: {error}; name another address"))
    })?;
    Ok(Box::pin(run(server.run(), platform.clone())))
}

async fn run(server: Server, platform: Platform) {
    let handle = server.handle();
    let serving = async {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server for partners failed");
        }
    };
    let stopping = async {
        platform.shutdown.cancelled().await;
        handle.stop(true).await;
    };
    tokio::join!(serving, stopping);
}

async fn dom(http: HttpRequest) -> HttpResult {
    let file = console::File::named("dom.js").ok_or_else(|| Refusal::not_found("console file"))?;
    Ok(shell::send(&http, file.media_type(), file.content().into_owned()))
}

async fn partner_page(http: HttpRequest) -> HttpResult {
    page_named(&http, "partner.html", SHELL)
}

async fn candidate_page(http: HttpRequest) -> HttpResult {
    page_named(&http, "rehearsal.html", SHELL)
}

/// The link in the address of a request.
fn link(request: &Request<Public>, role: Role) -> Result<Access> {
    let token = request.http.match_info().query("token");
    Link::parse(role, token).map(Access::Link).ok_or_else(super::unknown_link)
}

async fn show_candidate(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let access = link(&request, Role::Candidate)?;
    show_to_candidate(&request, &rehearsal, access).await
}

async fn execute_candidate(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let access = link(&request, Role::Candidate)?;
    execute_as_candidate(&request, &rehearsal, access).await
}

async fn report(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let access = link(&request, Role::Candidate)?;
    report_to_candidate(&rehearsal, access).await
}

async fn swap_of_candidate(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let access = link(&request, Role::Candidate)?;
    swap_roles(&request, &rehearsal, access, Role::Partner).await
}

async fn swap_of_partner(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let access = link(&request, Role::Partner)?;
    swap_roles(&request, &rehearsal, access, Role::Candidate).await
}

/// The query of a partner's request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// A name that the page gave itself. A reload keeps it.
    page: String,
}

impl PageQuery {
    fn of(request: &Request<Public>) -> Result<String> {
        let Self { page } = request.query()?;
        if (8..=64).contains(&page.len()) && page.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(page);
        }
        let detail = "must be 8 to 64 letters and digits";
        Err(Refusal::new(Code::InvalidRequest, format!("`page` {detail}.")).field("page", detail).into())
    }
}

async fn show(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let (access, page) = (link(&request, Role::Partner)?, PageQuery::of(&request)?);
    let now = request.platform.clock.machine();
    let shown = on_disk(&rehearsal, move |rehearsal, store| {
        let session = admitted(store, &access)?;
        arrive(rehearsal, &session, &page, now)?;
        Ok(view_of(rehearsal, &session, now))
    });
    Ok(fresh(&shown.await?))
}

async fn execute(request: Request<Public>, rehearsal: web::Data<Rehearsal>) -> HttpResult {
    let (access, page) = (link(&request, Role::Partner)?, PageQuery::of(&request)?);
    let command: PartnerCommand = request.json()?;
    let now = request.platform.clock.machine();
    let executed = on_disk(&rehearsal, move |rehearsal, store| {
        arrive(rehearsal, &admitted(store, &access)?, &page, now)?;
        let content = &rehearsal.content;
        let changed = store.change(access.session(), |session| session.execute_partner(content, command, now));
        let (session, result) = changed.map_err(refusal)?;
        result.map_err(refused)?;
        if session.stage == Stage::Done {
            keep_report(rehearsal, store, &session)?;
        }
        Ok(view_of(rehearsal, &session, now))
    });
    Ok(fresh(&executed.await?))
}

fn view_of(rehearsal: &Rehearsal, session: &Session, now: MachineTime) -> Value {
    partner_view(&rehearsal.content, session, &results(rehearsal, session), now)
}

/// Notes that the partner's page is open.
fn arrive(rehearsal: &Rehearsal, session: &Session, page: &str, now: MachineTime) -> Result<()> {
    rehearsal.presence.arrive(&session.id, page, now).map_err(|occupied| {
        let detail = format!(
            "Another page has this link. A session has one partner: close that page, wait {} s, and try again.",
            occupied.free_in_s
        );
        Refusal::new(Code::InvalidTransition, detail).field("page", "is not the page that has this link").into()
    })
}
