//! What all pages share: the header, the style sheet, the theme and the icon.
//!
//! A page is an HTML file with the placeholders `{{head}}` and `{{header}}`, which [`Shell::render`] fills in.

use std::fmt::Write as _;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

use super::{HttpResult, is_known};
use crate::platform::error::Refusal;

/// Allows only resources of this service: none from other hosts, none inline, and no frame around the page.
pub const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
                          frame-ancestors 'none'";

/// The files: name, media type, content.
const FILES: [(&str, &str, &str); 3] = [
    ("shell.css", "text/css; charset=utf-8", include_str!("shell.css")),
    ("theme.js", "text/javascript; charset=utf-8", include_str!("theme.js")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// A link in the header of every page.
#[derive(Debug, Clone, Copy)]
pub struct PageLink {
    /// The path of the page.
    pub path: &'static str,
    /// The text.
    pub text: &'static str,
}

/// The shell of a build: its links, and the script that adds to the header.
#[derive(Debug, Clone, Copy)]
pub struct Shell {
    /// The pages in the order of the header.
    pub links: &'static [PageLink],
    /// The path of a module that fills the empty elements `#proof` and `#search` of the header.
    pub script: Option<&'static str>,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            links: &[PageLink { path: "/docs/", text: "API" }, PageLink { path: "/problems", text: "Errors" }],
            script: None,
        }
    }
}

impl Shell {
    /// Returns the shell of the service that received a request.
    pub fn of(http: &HttpRequest) -> Self {
        http.app_data::<web::Data<Self>>().map(|shell| *shell.get_ref()).unwrap_or_default()
    }

    /// Fills in a page. `current` is the path of its link in the header.
    pub fn render(&self, page: &str, current: &str) -> String {
        page.replacen("{{head}}", &self.head(), 1).replacen("{{header}}", &self.header(current), 1)
    }

    fn head(&self) -> String {
        let mut head = "<link rel=\"icon\" href=\"/shell/icon.svg\" type=\"image/svg+xml\">\n    \
                        <link rel=\"stylesheet\" href=\"/shell/shell.css\">\n    \
                        <script src=\"/shell/theme.js\"></script>"
            .to_owned();
        if let Some(script) = self.script {
            let _infallible = write!(head, "\n    <script type=\"module\" src=\"{script}\"></script>");
        }
        head
    }

    fn header(&self, current: &str) -> String {
        let mut links = String::new();
        for PageLink { path, text } in self.links {
            let mark = if *path == current { " aria-current=\"page\"" } else { "" };
            let _infallible = write!(links, "<a href=\"{path}\"{mark}>{text}</a>");
        }
        HEADER.replacen("{{links}}", &links, 1)
    }
}

/// The header. Without a script, `#proof` and `#search` stay empty and take no space.
const HEADER: &str = include_str!("header.html");

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/shell/{file}").route(web::get().to(file)));
}

async fn file(http: HttpRequest, name: web::Path<String>) -> HttpResult {
    let (_, media_type, content) =
        FILES.iter().find(|(own, ..)| *own == name.as_str()).ok_or_else(|| Refusal::not_found("file"))?;
    Ok(send(&http, media_type, content.as_bytes().to_vec()))
}

/// Sends a file of a page with an entity tag, which changes with the content, and the policy.
pub fn send(http: &HttpRequest, media_type: &str, content: Vec<u8>) -> HttpResponse {
    let tag = tag(&content);
    let is_known = is_known(http, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, media_type)).body(content)
}

fn tag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    format!("\"{}\"", hex::encode(&digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_page_is_marked_and_placeholders_are_filled() {
        let page = Shell::default().render("<head>{{head}}</head>{{header}}", "/problems");
        assert!(page.contains("<a href=\"/problems\" aria-current=\"page\">Errors</a>"), "{page}");
        assert!(page.contains("<a href=\"/docs/\">API</a>"), "{page}");
        assert!(!page.contains("{{"), "{page}");
        assert!(!page.contains("type=\"module\""), "{page}");
        let with_script = Shell { script: Some("/x.js"), ..Shell::default() }.render("{{head}}", "");
        assert!(with_script.contains("<script type=\"module\" src=\"/x.js\"></script>"), "{with_script}");
    }

    #[test]
    fn different_contents_differ_in_tag() {
        assert_ne!(tag(b"one"), tag(b"two"));
        assert_eq!(tag(b"one"), tag(b"one"));
    }
}
