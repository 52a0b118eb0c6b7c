//! The front page `/`, the console `/city`, and their files under `/console/`.

use actix_web::{HttpRequest, web};

use crate::platform::error::Refusal;
use crate::platform::http::HttpResult;
use crate::platform::http::shell::{self, PageLink, Shell};
use crate::sandbox::console::File;

/// The shell of every page while the console is served.
pub(crate) const SHELL: Shell = Shell {
    links: &[
        PageLink { path: "/city", text: "City" },
        PageLink { path: "/rehearse", text: "Rehearse" },
        PageLink { path: "/book", text: "Book" },
        PageLink { path: "/docs/", text: "API" },
        PageLink { path: "/problems", text: "Errors" },
        PageLink { path: "/metrics", text: "Metrics" },
    ],
    script: Some("/console/shell.js"),
};

/// Registers the routes, which the OpenAPI document leaves out.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(web::get().to(front)))
        .service(web::resource("/city").route(web::get().to(city)))
        .service(web::resource("/city/audit").route(web::get().to(city)))
        .service(
            web::resource("/city/{kind:trips|offers|drivers|riders|payments|requests}/{id}").route(web::get().to(city)),
        )
        .service(web::resource("/console/{file}").route(web::get().to(file)));
}

async fn front(http: HttpRequest) -> HttpResult {
    page(&http, "front.html", "/")
}

/// The page is the same for each object: its script reads the address, and says so if there is no such object.
async fn city(http: HttpRequest) -> HttpResult {
    page(&http, "city.html", "/city")
}

async fn file(http: HttpRequest) -> HttpResult {
    // A page has an address of its own.
    let found = File::named(http.match_info().query("file")).filter(|file| !file.name.ends_with(".html"));
    let file = found.ok_or_else(|| Refusal::not_found("console file"))?;
    Ok(shell::send(&http, file.media_type(), file.content().into_owned()))
}

fn page(http: &HttpRequest, name: &str, current: &str) -> HttpResult {
    let file = File::named(name).ok_or_else(|| Refusal::not_found("page"))?;
    let content = String::from_utf8_lossy(&file.content()).into_owned();
    Ok(shell::send(http, file.media_type(), Shell::of(http).render(&content, current).into_bytes()))
}
