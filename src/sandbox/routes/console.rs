//! The console: `/`, and its files under `/console/`.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::platform::error::Refusal;
use crate::platform::http::{HttpResult, is_known};
use crate::sandbox::console::{File, tag};

/// Only resources of this service: none from elsewhere, none inline, and no frame around the page.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Registers the routes, which the OpenAPI document leaves out.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").route(web::get().to(home)))
        .service(web::resource("/console/{file}").route(web::get().to(file)));
}

async fn home(http: HttpRequest) -> HttpResult {
    send(&http, "index.html")
}

async fn file(http: HttpRequest) -> HttpResult {
    send(&http, http.match_info().query("file"))
}

fn send(http: &HttpRequest, name: &str) -> HttpResult {
    let file = File::named(name).ok_or_else(|| Refusal::not_found("console file"))?;
    let content = file.content();
    let tag = tag(&content);
    let is_known = is_known(http, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if is_known {
        return Ok(response.finish());
    }
    Ok(response.insert_header((CONTENT_TYPE, file.media_type())).body(content.into_owned()))
}
