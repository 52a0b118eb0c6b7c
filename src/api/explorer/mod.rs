//! The API explorer at `/docs`: Swagger UI, embedded in the binary, with our page and script. See `docs/decisions/explorer.md`.
//!
//! Where the document has an operation that creates tokens, the script uses it.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use crate::platform::error::{Error, Refusal};
use crate::platform::http::HttpResult;

/// Allows only files of the service. Swagger UI sets inline styles, and loads its icons as `data:`.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Our files: name, media type, content.
const OWN_FILES: [(&str, &str, &str); 3] = [
    ("", "text/html; charset=utf-8", include_str!("index.html")),
    ("explorer.css", "text/css; charset=utf-8", include_str!("explorer.css")),
    ("explorer.js", "text/javascript; charset=utf-8", include_str!("explorer.js")),
];

/// The files of Swagger UI that our page uses. Its own page and initializer, which refer to other hosts, are not served.
const SWAGGER_FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/docs").route(web::get().to(redirect)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(file)));
}

async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

async fn file(name: web::Path<String>) -> HttpResult {
    if let Some((_, kind, text)) = OWN_FILES.iter().find(|(own, ..)| *own == name.as_str()) {
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_SECURITY_POLICY, POLICY)).insert_header((CACHE_CONTROL, "no-cache"));
        return Ok(response.content_type(*kind).body(*text));
    }
    if !SWAGGER_FILES.contains(&name.as_str()) {
        return Err(Refusal::not_found("page").into());
    }
    let found = utoipa_swagger_ui::serve(&name, Arc::new(Config::default()));
    let found = found.map_err(|error| Error::Bug(format!("{name}: {error}")))?;
    let file = found.ok_or_else(|| Error::Bug(format!("{name} is not in the binary")))?;
    let mut response = HttpResponse::Ok();
    if file.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    response.insert_header((CACHE_CONTROL, "max-age=3600"));
    Ok(response.content_type(file.content_type).body(file.bytes.into_owned()))
}
