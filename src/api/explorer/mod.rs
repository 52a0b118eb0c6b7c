//! The API explorer at `/docs`: a page and modules of our own, driven by the OpenAPI document. See `docs/decisions/explorer.md`.
//!
//! Where the document has an operation that creates tokens, the script uses it.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::platform::error::Refusal;
use crate::platform::http::HttpResult;
use crate::platform::http::shell::{self, Shell};

/// The path of the page.
const PATH: &str = "/docs/";

/// The page, with the placeholders of the shell.
const PAGE: &str = include_str!("index.html");

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The other files: name, media type, content.
const FILES: [(&str, &str, &str); 10] = [
    ("explorer.css", CSS, include_str!("explorer.css")),
    ("elements.js", JAVASCRIPT, include_str!("elements.js")),
    ("explorer.js", JAVASCRIPT, include_str!("explorer.js")),
    ("openapi_document.js", JAVASCRIPT, include_str!("openapi_document.js")),
    ("operation_list.js", JAVASCRIPT, include_str!("operation_list.js")),
    ("request_form.js", JAVASCRIPT, include_str!("request_form.js")),
    ("request_sender.js", JAVASCRIPT, include_str!("request_sender.js")),
    ("response_view.js", JAVASCRIPT, include_str!("response_view.js")),
    ("ride_steps.js", JAVASCRIPT, include_str!("ride_steps.js")),
    ("schema_view.js", JAVASCRIPT, include_str!("schema_view.js")),
];

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/docs").route(web::get().to(redirect)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(file)));
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, PATH)).finish()
}

async fn file(http: HttpRequest, name: web::Path<String>) -> HttpResult {
    if name.is_empty() {
        let page = Shell::of(&http).render(PAGE, PATH);
        return Ok(shell::send(&http, "text/html; charset=utf-8", page.into_bytes()));
    }
    let file = FILES.iter().find(|(own, ..)| *own == name.as_str());
    let (_, media_type, content) = file.ok_or_else(|| Refusal::not_found("page"))?;
    Ok(shell::send(&http, media_type, content.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use crate::api::openapi;

    /// The script leaves out a step that the document does not have, so that a renamed operation would go unnoticed.
    #[test]
    fn every_step_of_the_ride_is_an_operation() {
        let document = openapi::document().to_json().unwrap();
        let steps: Vec<_> = include_str!("ride_steps.js").split('"').skip(1).step_by(2).collect();
        assert!(steps.len() > 10, "{steps:?}");
        for step in steps {
            assert!(document.contains(&format!("\"operationId\":\"{step}\"")), "{step}");
        }
    }
}
