//! Error pages: the cause of each code, how to reproduce it, and what to do.
//!
//! The pages are the Markdown files beside this one. `tests/api/error_pages.rs` runs the `sh` block of each page and checks that it
//! produces the code. A page without one names the test that produces it.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::api::page::{Page, STYLE, localized};
use crate::platform::error::{Code, Refusal};
use crate::platform::http::HttpResult;
use crate::platform::http::shell;

/// The shell functions of the examples.
#[cfg(feature = "sandbox")]
const PRELUDE: &str = include_str!("prelude.sh");

/// The modules that run the examples in the page.
#[cfg(feature = "sandbox")]
const MODULES: [(&str, &str); 3] = [
    ("/problems/run.js", include_str!("run.js")),
    ("/problems/shell_language.js", include_str!("shell_language.js")),
    ("/problems/shell_tools.js", include_str!("shell_tools.js")),
];

/// The minimum similarity of a suggestion: Jaro-Winkler, where 1 means equal.
const SIMILARITY_MIN: f64 = 0.75;

/// The maximum number of suggestions in a 404.
const SUGGESTIONS_MAX: usize = 3;

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/problems").route(web::get().to(index)));
    #[cfg(feature = "sandbox")]
    config.service(web::resource("/problems/prelude.sh").route(web::get().to(prelude)));
    #[cfg(feature = "sandbox")]
    for (path, content) in MODULES {
        let send = move |http: HttpRequest| async move {
            shell::send(&http, "text/javascript; charset=utf-8", content.as_bytes().to_vec())
        };
        config.service(web::resource(path).route(web::get().to(send)));
    }
    config.configure(configure_style).service(web::resource("/problems/{code}").route(web::get().to(problem)));
}

/// Adds the style sheet of pages of text.
pub fn configure_style(config: &mut web::ServiceConfig) {
    config.service(web::resource("/problems/page.css").route(web::get().to(style)));
}

/// Returns the page of a code as it is served. The examples need the demo's controls, so the production build omits them.
fn served_page(code: Code) -> String {
    let page = page(code);
    if cfg!(feature = "sandbox") {
        return page.to_owned();
    }
    match (page.split_once("## Reproduce"), page.split_once("## What to do")) {
        (Some((cause, _)), Some((_, remedy))) => format!("{cause}## What to do{remedy}"),
        _ => page.to_owned(),
    }
}

/// Returns the page of a code, without its title.
const fn page(code: Code) -> &'static str {
    match code {
        Code::Malformed => include_str!("malformed.md"),
        Code::InvalidRequest => include_str!("invalid_request.md"),
        Code::InvalidId => include_str!("invalid_id.md"),
        Code::UnsupportedMediaType => include_str!("unsupported_media_type.md"),
        Code::UnsupportedEncoding => include_str!("unsupported_encoding.md"),
        Code::BodyTooLarge => include_str!("body_too_large.md"),
        Code::RequestTimeout => include_str!("request_timeout.md"),
        Code::Unauthenticated => include_str!("unauthenticated.md"),
        Code::Forbidden => include_str!("forbidden.md"),
        Code::NotFound => include_str!("not_found.md"),
        Code::MethodNotAllowed => include_str!("method_not_allowed.md"),
        Code::UpgradeRequired => include_str!("upgrade_required.md"),
        Code::IdempotencyKeyMissing => include_str!("idempotency_key_missing.md"),
        Code::IdempotencyKeyInvalid => include_str!("idempotency_key_invalid.md"),
        Code::IdempotencyKeyReused => include_str!("idempotency_key_reused.md"),
        Code::RequestInProgress => include_str!("request_in_progress.md"),
        Code::TooManyCommands => include_str!("too_many_commands.md"),
        Code::TooManyStreams => include_str!("too_many_streams.md"),
        Code::RateLimited => include_str!("rate_limited.md"),
        Code::VersionMismatch => include_str!("version_mismatch.md"),
        Code::InvalidTransition => include_str!("invalid_transition.md"),
        Code::ActiveTripExists => include_str!("active_trip_exists.md"),
        Code::QuoteExpired => include_str!("quote_expired.md"),
        Code::QuoteUsed => include_str!("quote_used.md"),
        Code::OfferExpired => include_str!("offer_expired.md"),
        Code::OfferWithdrawn => include_str!("offer_withdrawn.md"),
        Code::OfferTaken => include_str!("offer_taken.md"),
        Code::DriverOnTrip => include_str!("driver_on_trip.md"),
        Code::DriverUnavailable => include_str!("driver_unavailable.md"),
        Code::TooFarFromPickup => include_str!("too_far_from_pickup.md"),
        Code::WrongPin => include_str!("wrong_pin.md"),
        Code::PinLocked => include_str!("pin_locked.md"),
        Code::TooEarly => include_str!("too_early.md"),
        Code::NotRefundable => include_str!("not_refundable.md"),
        Code::PaymentDisputed => include_str!("payment_disputed.md"),
        Code::NotResolvable => include_str!("not_resolvable.md"),
        Code::AlreadyTipped => include_str!("already_tipped.md"),
        Code::SignatureInvalid => include_str!("signature_invalid.md"),
        Code::EndpointLimit => include_str!("endpoint_limit.md"),
        Code::NotTheMatcher => include_str!("not_the_matcher.md"),
        #[cfg(feature = "sandbox")]
        Code::NotSupervised => include_str!("not_supervised.md"),
        #[cfg(feature = "sandbox")]
        Code::NotASimulator => include_str!("not_a_simulator.md"),
        #[cfg(feature = "sandbox")]
        Code::NothingPending => include_str!("nothing_pending.md"),
        Code::OutcomeUnknown => include_str!("outcome_unknown.md"),
        Code::Overloaded => include_str!("overloaded.md"),
        Code::Unavailable => include_str!("unavailable.md"),
        Code::Internal => include_str!("internal.md"),
    }
}

async fn style(http: HttpRequest) -> HttpResponse {
    shell::send(&http, "text/css; charset=utf-8", STYLE.as_bytes().to_vec())
}

async fn problem(name: web::Path<String>, http: HttpRequest) -> HttpResult {
    let code = Code::ALL.iter().find(|code| code.problem_type().name == name.as_str());
    let code = *code.ok_or_else(|| unknown(&name))?;
    let problem_type = code.problem_type();
    let page = served_page(code);
    let markdown = format!("# {}\n\n`{} {}`\n\n{page}", problem_type.title, problem_type.status, problem_type.name);
    let json = json!({
        "code": problem_type.name,
        "status": problem_type.status,
        "title": problem_type.title,
        "summary": problem_type.explanation,
        "markdown": localized(&page, &http),
    });
    Ok(Page { title: problem_type.title, markdown, json }.send(&http))
}

/// Returns a 404 that suggests similar codes.
fn unknown(name: &str) -> Refusal {
    let mut near: Vec<_> = Code::ALL
        .iter()
        .map(|code| (strsim::jaro_winkler(name, code.problem_type().name), code.problem_type().name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let near: Vec<_> = near.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect();
    let detail = match near.as_slice() {
        [] => "No such error code. /problems lists all of them.".to_owned(),
        near => format!("No such error code. Did you mean {}? /problems lists all of them.", near.join(" or ")),
    };
    Refusal::new(Code::NotFound, detail).with("near", near)
}

async fn index(http: HttpRequest) -> HttpResponse {
    let mut codes = Code::ALL.to_vec();
    // The sort is stable: within a status, codes stay in the order of the checks.
    codes.sort_by_key(|code| code.problem_type().status);
    let mut markdown =
        "# Errors\n\nEvery error is a problem document (RFC 9457): `code` is for programs, `detail` for people, and \
        `type` is the path of one of these pages. Against a demo, their examples run in the page and in a terminal.\n"
            .to_owned();
    for group in codes.chunk_by(|one, other| one.problem_type().status == other.problem_type().status) {
        let status = group[0].problem_type().status;
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let _infallible = write!(markdown, "\n## {status} {reason}\n\n");
        for problem_type in group.iter().map(|code| code.problem_type()) {
            let _infallible =
                writeln!(markdown, "- [`{name}`](/problems/{name}): {}", problem_type.title, name = problem_type.name);
        }
    }
    let line = |code: &Code| {
        let problem_type = code.problem_type();
        let path = format!("/problems/{}", problem_type.name);
        json!({"code": problem_type.name, "status": problem_type.status, "title": problem_type.title, "type": path})
    };
    let json = json!({"items": codes.iter().map(line).collect::<Vec<_>>()});
    Page { title: "Errors", markdown, json }.send(&http)
}

#[cfg(feature = "sandbox")]
async fn prelude(http: HttpRequest) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((actix_web::http::header::CACHE_CONTROL, "no-store"))
        .content_type("text/x-shellscript; charset=utf-8")
        .body(localized(PRELUDE, &http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_the_three_sections() {
        for code in Code::ALL {
            let (name, page) = (code.problem_type().name, page(*code));
            let headings: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(headings, ["## Why", "## Reproduce", "## What to do"], "{name}");
            let example = page.split("## Reproduce").nth(1).and_then(|rest| rest.split("## What to do").next());
            let example = example.expect("the headings were checked");
            assert!(example.contains("```sh\n") != example.contains("`tests/"), "{name}: either commands or a test");
        }
    }

    #[test]
    fn unknown_code_suggests_similar_ones() {
        assert_eq!(unknown("quote_expires").more["near"][0], "quote_expired");
        assert_eq!(unknown("zzz").more["near"], json!([]));
    }
}
