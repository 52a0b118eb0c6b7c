//! The pages of problems: for each code what it means, why the service says it, how to see it happen, and what to do.
//!
//! The pages are the files of `problems/`, in Markdown. The lines of their `sh` blocks are run by `tests/problems.rs`, which looks
//! whether that very code comes out. What cannot be provoked from outside names the test that does it.

use std::fmt::Write as _;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::page::{Page, localised};
use crate::platform::error::{Code, Refusal};
use crate::platform::http::Reply;

/// The functions that the pages' examples are made of.
const PRELUDE: &str = include_str!("problems/prelude.sh");

/// Names that are less alike than this (Jaro-Winkler, 1 is equal) have nothing to do with each other.
const NEAR: f64 = 0.75;

/// Names that a 404 offers at most.
const NEAR_MAX: usize = 3;

/// The addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/problems").route(web::get().to(index)))
        .service(web::resource("/problems/prelude.sh").route(web::get().to(prelude)))
        .service(web::resource("/problems/{code}").route(web::get().to(problem)));
}

/// The page of a code, without its title.
const fn page(code: Code) -> &'static str {
    match code {
        Code::Malformed => include_str!("problems/malformed.md"),
        Code::InvalidRequest => include_str!("problems/invalid_request.md"),
        Code::InvalidId => include_str!("problems/invalid_id.md"),
        Code::UnsupportedMediaType => include_str!("problems/unsupported_media_type.md"),
        Code::BodyTooLarge => include_str!("problems/body_too_large.md"),
        Code::Unauthenticated => include_str!("problems/unauthenticated.md"),
        Code::Forbidden => include_str!("problems/forbidden.md"),
        Code::NotFound => include_str!("problems/not_found.md"),
        Code::MethodNotAllowed => include_str!("problems/method_not_allowed.md"),
        Code::IdempotencyKeyMissing => include_str!("problems/idempotency_key_missing.md"),
        Code::IdempotencyKeyInvalid => include_str!("problems/idempotency_key_invalid.md"),
        Code::IdempotencyKeyReused => include_str!("problems/idempotency_key_reused.md"),
        Code::RequestInProgress => include_str!("problems/request_in_progress.md"),
        Code::TooManyCommands => include_str!("problems/too_many_commands.md"),
        Code::RateLimited => include_str!("problems/rate_limited.md"),
        Code::VersionMismatch => include_str!("problems/version_mismatch.md"),
        Code::InvalidTransition => include_str!("problems/invalid_transition.md"),
        Code::ActiveTripExists => include_str!("problems/active_trip_exists.md"),
        Code::QuoteExpired => include_str!("problems/quote_expired.md"),
        Code::QuoteUsed => include_str!("problems/quote_used.md"),
        Code::OfferExpired => include_str!("problems/offer_expired.md"),
        Code::OfferWithdrawn => include_str!("problems/offer_withdrawn.md"),
        Code::OfferTaken => include_str!("problems/offer_taken.md"),
        Code::DriverOnTrip => include_str!("problems/driver_on_trip.md"),
        Code::DriverUnavailable => include_str!("problems/driver_unavailable.md"),
        Code::TooFarFromPickup => include_str!("problems/too_far_from_pickup.md"),
        Code::WrongPin => include_str!("problems/wrong_pin.md"),
        Code::PinLocked => include_str!("problems/pin_locked.md"),
        Code::TooEarly => include_str!("problems/too_early.md"),
        Code::NotRefundable => include_str!("problems/not_refundable.md"),
        Code::NotResolvable => include_str!("problems/not_resolvable.md"),
        Code::AlreadyTipped => include_str!("problems/already_tipped.md"),
        Code::SignatureInvalid => include_str!("problems/signature_invalid.md"),
        Code::EndpointLimit => include_str!("problems/endpoint_limit.md"),
        Code::NotTheMatcher => include_str!("problems/not_the_matcher.md"),
        Code::NotSupervised => include_str!("problems/not_supervised.md"),
        Code::NotASimulator => include_str!("problems/not_a_simulator.md"),
        Code::NothingPending => include_str!("problems/nothing_pending.md"),
        Code::OutcomeUnknown => include_str!("problems/outcome_unknown.md"),
        Code::Overloaded => include_str!("problems/overloaded.md"),
        Code::Unavailable => include_str!("problems/unavailable.md"),
        Code::Internal => include_str!("problems/internal.md"),
    }
}

async fn problem(name: web::Path<String>, http: HttpRequest) -> Reply {
    let code = Code::ALL.iter().find(|code| code.meaning().name == name.as_str());
    let code = *code.ok_or_else(|| unknown(&name))?;
    let meaning = code.meaning();
    let markdown = format!("# {}\n\n`{} {}`\n\n{}", meaning.title, meaning.status, meaning.name, page(code));
    let json = json!({
        "code": meaning.name,
        "status": meaning.status,
        "title": meaning.title,
        "summary": meaning.why,
        "markdown": localised(page(code), &http),
    });
    Ok(Page { title: meaning.title, markdown, json }.send(&http))
}

/// A 404 that knows what may have been meant.
fn unknown(name: &str) -> Refusal {
    let mut near: Vec<_> = Code::ALL
        .iter()
        .map(|code| (strsim::jaro_winkler(name, code.meaning().name), code.meaning().name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let near: Vec<_> = near.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect();
    let detail = match near.as_slice() {
        [] => "There is no such problem; /problems lists all of them.".to_owned(),
        near => format!("There is no such problem. Is it {}? /problems lists all of them.", near.join(" or ")),
    };
    Refusal::new(Code::NotFound, detail).with("near", near)
}

async fn index(http: HttpRequest) -> HttpResponse {
    let mut codes = Code::ALL.to_vec();
    // Stable: within a status they stay in the order in which a request meets them.
    codes.sort_by_key(|code| code.meaning().status);
    let mut markdown = "# Problems\n\nEvery error is a problem document (RFC 9457): `code` is for programs, `detail` for people, and `type` \
        is the address of one of these pages. Their examples can be pasted into a terminal and run against a demo.\n"
        .to_owned();
    for group in codes.chunk_by(|one, other| one.meaning().status == other.meaning().status) {
        let status = group[0].meaning().status;
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        let _infallible = write!(markdown, "\n## {status} {reason}\n\n");
        for meaning in group.iter().map(|code| code.meaning()) {
            let _infallible =
                writeln!(markdown, "- [`{name}`](/problems/{name}): {}", meaning.title, name = meaning.name);
        }
    }
    let line = |code: &Code| {
        let meaning = code.meaning();
        let address = format!("/problems/{}", meaning.name);
        json!({"code": meaning.name, "status": meaning.status, "title": meaning.title, "type": address})
    };
    let json = json!({"items": codes.iter().map(line).collect::<Vec<_>>()});
    Page { title: "Problems", markdown, json }.send(&http)
}

async fn prelude(http: HttpRequest) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/x-shellscript; charset=utf-8")
        .body(localised(PRELUDE, &http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_says_what_it_has_to() {
        for code in Code::ALL {
            let (name, page) = (code.meaning().name, page(*code));
            let headings: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(headings, ["## Why", "## See it happen", "## What to do"], "{name}");
            let example = page.split("## See it happen").nth(1).and_then(|rest| rest.split("## What to do").next());
            let example = example.expect("it is there");
            assert!(
                example.contains("```sh\n") != example.contains("`tests/"),
                "{name}: lines to paste, or a test to read"
            );
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_recognised() {
        assert_eq!(unknown("quote_expires").more["near"][0], "quote_expired");
        assert_eq!(unknown("zzz").more["near"], json!([]));
    }
}
