//! The design book: its chapters under `/book`, their diagrams, and the text that its search reads.

use actix_web::{HttpRequest, web};

use crate::platform::error::{Error, Refusal};
use crate::platform::http::HttpResult;
use crate::platform::http::shell::{self, Shell};
use crate::sandbox::book;

/// Registers the routes, which the OpenAPI document leaves out.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(["/book", "/book/"]).route(web::get().to(contents)))
        .service(web::resource("/book/index.json").route(web::get().to(index)))
        .service(web::resource("/book/{folder:files|images}/{file}").route(web::get().to(file)))
        .service(web::resource("/book/{chapter}").route(web::get().to(chapter)));
}

async fn contents(http: HttpRequest) -> HttpResult {
    page(&http, None)
}

async fn chapter(http: HttpRequest) -> HttpResult {
    page(&http, Some(http.match_info().query("chapter")))
}

async fn index(http: HttpRequest) -> HttpResult {
    let content = serde_json::to_vec(&book::index()).map_err(|error| Error::Bug(error.to_string()))?;
    Ok(shell::send(&http, "application/json", content))
}

async fn file(http: HttpRequest) -> HttpResult {
    let path = format!("{}/{}", http.match_info().query("folder"), http.match_info().query("file"));
    let (media_type, content) = book::file(&path).ok_or_else(|| Refusal::not_found("file of the book"))?;
    Ok(shell::send(&http, media_type, content.as_bytes().to_vec()))
}

fn page(http: &HttpRequest, name: Option<&str>) -> HttpResult {
    let page = book::page(name).ok_or_else(|| Refusal::not_found("chapter"))?;
    Ok(shell::send(http, "text/html; charset=utf-8", Shell::of(http).render(&page, book::PATH).into_bytes()))
}
