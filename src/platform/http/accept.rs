//! Content negotiation: the one place that weighs `Accept` (RFC 9110, 12.5.1).

use std::cmp::Reverse;

use actix_web::http::header::{Accept, Header as _, Quality, QualityItem};
use actix_web::mime::Mime;
use actix_web::{HttpMessage as _, HttpRequest};

/// Marks a request whose response depends on `Accept`. The middleware then adds it to `Vary`.
pub(super) struct Negotiated;

/// Returns the offer whose media type the request prefers: the one with the highest quality; among equals the one that `Accept` names
/// more exactly, then the earlier offer. The first offer is the default: without a preference, and if no offer is acceptable.
///
/// Media types are compared without their parameters. A malformed range is ignored.
///
/// # Panics
/// Without an offer.
pub fn negotiate<T: Copy>(http: &HttpRequest, offers: &[(&str, T)]) -> T {
    http.extensions_mut().insert(Negotiated);
    let ranges = Accept::parse(http).map(|accept| accept.0).unwrap_or_default();
    let weighed = offers.iter().enumerate().filter_map(|(place, (kind, offer))| {
        weight(&ranges, kind).map(|(quality, exactness)| ((quality, exactness, Reverse(place)), *offer))
    });
    let best = weighed.max_by_key(|(weight, _)| *weight).map(|(_, offer)| offer);
    best.unwrap_or(offers[0].1)
}

/// Returns the quality of a media type, and how exactly its range names it. `None` if it is not acceptable. Of several ranges, the most
/// exact one decides: `text/*;q=0.5, text/plain;q=0` excludes plain text.
fn weight(ranges: &[QualityItem<Mime>], kind: &str) -> Option<(Quality, u8)> {
    let exactness = |range: &str| match range.strip_suffix('*') {
        None => (range == kind).then_some(2),
        Some("*/") => Some(0),
        Some(family) => kind.starts_with(family).then_some(1),
    };
    let matching = ranges.iter().filter_map(|range| Some((exactness(range.item.essence_str())?, range.quality)));
    let (exactness, quality) = matching.max()?;
    (quality > Quality::ZERO).then_some((quality, exactness))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn preferred(accept: &str) -> &'static str {
        let http = TestRequest::default().insert_header(("Accept", accept)).to_http_request();
        negotiate(&http, &[("application/json", "json"), ("text/event-stream", "stream"), ("text/plain", "text")])
    }

    #[test]
    fn highest_quality_wins_and_zero_excludes() {
        for (accept, expected) in [
            ("text/event-stream", "stream"),
            ("Text/Event-Stream", "stream"),
            ("TEXT/PLAIN;Q=0.5, application/json;q=0.4", "text"),
            ("application/json, text/event-stream;q=0", "json"),
            ("application/json;q=1.0, text/event-stream;q=0.1", "json"),
            ("application/json;q=0.8, text/event-stream;q=0.81", "stream"),
            ("application/json;q=0, text/plain;q=0.001", "text"),
            ("text/plain; charset=utf-8", "text"),
            ("text/plain;q=0.5;charset=utf-8, application/json;q=0.4", "text"),
        ] {
            assert_eq!(preferred(accept), expected, "{accept}");
        }
    }

    #[test]
    fn exact_type_decides_over_wildcards() {
        for (accept, expected) in [
            ("text/*;q=0.9, text/event-stream;q=0, */*;q=0.1", "text"),
            ("text/event-stream, */*", "stream"),
            ("text/*, */*", "stream"),
            ("text/plain;q=0.05, */*", "json"),
            ("*/*;q=0.5, application/json;q=0", "stream"),
        ] {
            assert_eq!(preferred(accept), expected, "{accept}");
        }
    }

    #[test]
    fn first_offer_is_the_default() {
        for accept in [
            "",
            "*/*",
            "nonsense",
            "image/png",
            "text/event-stream-x",
            "xtext/event-stream",
            "text/event-stream;q=0",
            "text/event-stream;q=x",
            "application/json, text/event-stream",
            "text/plain, application/json",
        ] {
            assert_eq!(preferred(accept), "json", "{accept}");
        }
        let two = TestRequest::default().append_header(("Accept", "text/plain;q=0.5"));
        let two = two.append_header(("Accept", "text/event-stream")).to_http_request();
        assert_eq!(
            negotiate(&two, &[("text/plain", 1), ("text/event-stream", 2)]),
            2,
            "the lines of a header are one list"
        );
    }
}
