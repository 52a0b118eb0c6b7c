//! Pages written in Markdown, and served as HTML, Markdown or JSON by the request's `Accept`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use pulldown_cmark::{Parser, html};
use serde::Serialize;

use crate::platform::http::negotiate;
use crate::platform::http::shell::Shell;

/// The HTML template. It loads nothing from other hosts.
const TEMPLATE: &str = include_str!("page.html");

/// The style sheet, beside the error pages.
pub const STYLE: &str = include_str!("page.css");

/// The path of the error pages, which begins the path of each of them.
const ERRORS: &str = "/problems";

/// The script that makes commands runnable. The commands are those of the demo.
const SCRIPT: &str =
    if cfg!(feature = "sandbox") { "<script type=\"module\" src=\"/problems/run.js\"></script>" } else { "" };

/// The service's address in the Markdown sources.
const SOURCE_ADDRESS: &str = "http://127.0.0.1:8080";

/// A page needs the style sheets and scripts of this service, which send requests to it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page with a JSON equivalent.
pub struct Page<'a, T> {
    /// The title, as plain text.
    pub title: &'a str,
    /// The content as Markdown, including the title.
    pub markdown: String,
    /// The response to `Accept: application/json`.
    pub json: T,
}

/// A representation of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Markdown,
}

/// The media types of the forms. Without a preference a page is Markdown, for terminals.
const OFFERS: [(&str, Form); 4] = [
    ("text/markdown", Form::Markdown),
    ("text/plain", Form::Markdown),
    ("text/html", Form::Html),
    ("application/json", Form::Json),
];

impl<T: Serialize> Page<'_, T> {
    /// Renders the page in the negotiated form, with the service's address from the request's `Host`.
    pub fn send(&self, http: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((header::VARY, "Host")).insert_header((header::CACHE_CONTROL, "no-store"));
        let markdown = localized(&self.markdown, http);
        match negotiate(http, &OFFERS) {
            Form::Json => response.json(&self.json),
            Form::Markdown => response.content_type("text/markdown; charset=utf-8").body(markdown),
            Form::Html => {
                let mut body = String::new();
                html::push_html(&mut body, Parser::new(&markdown));
                let current = if http.path().starts_with(ERRORS) { ERRORS } else { http.path() };
                let template = Shell::of(http).render(TEMPLATE, current);
                let script = if body.contains("language-sh") { SCRIPT } else { "" };
                let page = template.replacen("{{title}}", self.title, 1).replacen("{{script}}", script, 1);
                let page = page.replacen("{{body}}", &body, 1);
                response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
                response.content_type("text/html; charset=utf-8").body(page)
            }
        }
    }
}

/// Replaces the service's address by the request's `Host`, so that commands can be pasted.
pub fn localized(text: &str, http: &HttpRequest) -> String {
    // Only a plain host name: the text is pasted into a shell. Forwarding headers are not trusted.
    let host = http.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    if (1..=255).contains(&host.len()) && host.bytes().all(is_plain) {
        text.replace(SOURCE_ADDRESS, &format!("http://{host}"))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn accept_header_selects_html_json_or_markdown() {
        let form = |accept: &str| {
            negotiate(&TestRequest::default().insert_header(("Accept", accept)).to_http_request(), &OFFERS)
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(form(browser), Form::Html);
        assert_eq!(form("application/json"), Form::Json);
        assert_eq!(form("text/html;q=0.5, application/json"), Form::Json);
        for anything in ["*/*", "text/plain", "text/markdown", "image/png", "", "nonsense"] {
            assert_eq!(form(anything), Form::Markdown, "{anything}");
        }
    }

    #[test]
    fn host_with_other_characters_is_not_inserted() {
        let result = |host: &str| {
            localized(
                "curl http://127.0.0.1:8080/x",
                &TestRequest::default().insert_header(("Host", host)).to_http_request(),
            )
        };
        assert_eq!(result("rides.example:81"), "curl http://rides.example:81/x");
        assert_eq!(result("[::1]:9"), "curl http://[::1]:9/x");
        for wrong in ["x;rm -rf y", "$(x)", "<b>", ""] {
            assert_eq!(result(wrong), "curl http://127.0.0.1:8080/x");
        }
    }
}
