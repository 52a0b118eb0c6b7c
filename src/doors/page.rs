//! Pages for people: written in Markdown, sent as HTML to a browser, as they are to curl, and as JSON to a program.

use actix_web::http::header::{self, Accept, Header};
use actix_web::{HttpRequest, HttpResponse};
use pulldown_cmark::{Parser, html};
use serde::Serialize;

/// What stands around the text of a page, and how it looks. One file, nothing from elsewhere.
const SHELL: &str = include_str!("page.html");

/// Where the pages say that the service is, for whoever reads them in the source tree.
const WRITTEN_FOR: &str = "http://127.0.0.1:8080";

/// A page does nothing but be read.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page, and the same for a program.
pub struct Page<'a, T> {
    /// Its title, as text.
    pub title: &'a str,
    /// All of it, as Markdown, the title included.
    pub markdown: String,
    /// What a program gets.
    pub json: T,
}

/// How somebody wants to read a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Markdown,
}

impl Form {
    /// The first form in order of preference that we have. Whoever takes anything is a person at a terminal.
    fn wanted(http: &HttpRequest) -> Self {
        let ranked = Accept::parse(http).map(|accept| accept.ranked()).unwrap_or_default();
        ranked
            .iter()
            .find_map(|range| match range.essence_str() {
                "text/html" => Some(Self::Html),
                "application/json" => Some(Self::Json),
                "text/markdown" | "text/plain" | "text/*" | "*/*" => Some(Self::Markdown),
                _ => None,
            })
            .unwrap_or(Self::Markdown)
    }
}

impl<T: Serialize> Page<'_, T> {
    /// Sends the page in the form that is wanted, with the addresses in it as the reader has them.
    pub fn send(&self, http: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((header::VARY, "Accept, Host")).insert_header((header::CACHE_CONTROL, "no-store"));
        let markdown = localised(&self.markdown, http);
        match Form::wanted(http) {
            Form::Json => response.json(&self.json),
            Form::Markdown => response.content_type("text/markdown; charset=utf-8").body(markdown),
            Form::Html => {
                let mut body = String::new();
                html::push_html(&mut body, Parser::new(&markdown));
                let page = SHELL.replace("{{title}}", self.title).replace("{{body}}", &body);
                response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
                response.content_type("text/html; charset=utf-8").body(page)
            }
        }
    }
}

/// The text with the service's address as this reader knows it, so that what is pasted from it works.
pub fn localised(text: &str, http: &HttpRequest) -> String {
    // The reader's own `Host`, and nothing that somebody on the way may add: the text goes into a shell.
    let host = http.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    if (1..=255).contains(&host.len()) && host.bytes().all(is_plain) {
        text.replace(WRITTEN_FOR, &format!("http://{host}"))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_browser_gets_html_and_a_terminal_what_was_written() {
        let wanted =
            |accept: &str| Form::wanted(&TestRequest::default().insert_header(("Accept", accept)).to_http_request());
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        assert_eq!(wanted(browser), Form::Html);
        assert_eq!(wanted("application/json"), Form::Json);
        assert_eq!(wanted("text/html;q=0.5, application/json"), Form::Json);
        for anything in ["*/*", "text/plain", "text/markdown", "image/png", "", "nonsense"] {
            assert_eq!(wanted(anything), Form::Markdown, "{anything}");
        }
    }

    #[test]
    fn an_address_that_is_no_address_does_not_get_into_a_script() {
        let said = |host: &str| {
            localised(
                "curl http://127.0.0.1:8080/x",
                &TestRequest::default().insert_header(("Host", host)).to_http_request(),
            )
        };
        assert_eq!(said("rides.example:81"), "curl http://rides.example:81/x");
        assert_eq!(said("[::1]:9"), "curl http://[::1]:9/x");
        for wrong in ["x;rm -rf y", "$(x)", "<b>", ""] {
            assert_eq!(said(wrong), "curl http://127.0.0.1:8080/x");
        }
    }
}
