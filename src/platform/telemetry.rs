//! Logging: one JSON object per line, with the trace id of the request or of the worker's run.

use std::sync::Arc;

use tokio::task_local;
use tracing::{Instrument, Span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::ids::{PaymentId, TripId};

/// The request that a log line, a problem document or an outbox event belongs to.
#[derive(Debug, Clone)]
pub struct Context {
    /// 32 hexadecimal digits, from `traceparent` or generated.
    pub trace_id: Arc<str>,
    /// The path of the request, or the name of the worker.
    pub path: Arc<str>,
    /// The trip that a worker's run is about.
    pub trip_id: Option<TripId>,
    /// The payment that a worker's run is about.
    pub payment_id: Option<PaymentId>,
}

impl Context {
    /// Returns the context of a request, or of a worker's run that is about nothing in particular.
    pub fn new(trace_id: impl Into<Arc<str>>, path: impl Into<Arc<str>>) -> Self {
        Self { trace_id: trace_id.into(), path: path.into(), trip_id: None, payment_id: None }
    }
}

task_local! {
    static CONTEXT: Context;
}

/// Returns the current context.
pub fn context() -> Option<Context> {
    CONTEXT.try_with(Clone::clone).ok()
}

/// Returns the current trace id.
pub fn trace_id() -> Option<String> {
    CONTEXT.try_with(|context| context.trace_id.to_string()).ok()
}

/// Runs `work` in `context`.
pub async fn in_context<T>(context: Option<Context>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => CONTEXT.scope(context, work).await,
        None => work.await,
    }
}

/// Returns a span that adds the trace id to each log line, and the ids of what the run is about.
pub fn span(context: &Context) -> Span {
    tracing::info_span!(
        "request",
        trace_id = %context.trace_id,
        path = %context.path,
        trip_id = context.trip_id.map(tracing::field::display),
        payment_id = context.payment_id.map(tracing::field::display),
    )
}

/// Runs `work` in `context`, and in its span.
pub async fn traced<T>(context: Context, work: impl Future<Output = T>) -> T {
    let span = span(&context);
    in_context(Some(context), work).instrument(span).await
}

/// Runs the part of a worker's run that has a cause of its own, and is about one trip or payment where it names them. Its trace is that of
/// the cause; without one, that of the worker's run.
pub async fn continue_trace<T>(
    worker: &'static str,
    (trip_id, payment_id): (Option<TripId>, Option<PaymentId>),
    cause: Option<String>,
    work: impl Future<Output = T>,
) -> T {
    match cause.or_else(trace_id) {
        Some(trace_id) => traced(Context { trip_id, payment_id, ..Context::new(trace_id, worker) }, work).await,
        None => work.await,
    }
}

/// The length of `traceparent` in version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_CHARS: usize = 55;

/// Returns the trace id of a `traceparent` header, by W3C Trace Context, 3.2; `None` if the header is invalid, and a new trace begins.
///
/// A later version may append fields. Version ff and ids of zeros are invalid. The flags only need to be readable: every request is
/// logged, and the service calls nothing that would take part in the trace, so that it needs no `tracestate` either.
pub fn parse_traceparent(header: &str) -> Option<&str> {
    let (known, appended) = header.split_at_checked(TRACEPARENT_CHARS)?;
    let mut fields = known.split('-');
    let (version, trace_id, parent_id, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex = |text: &str, chars: usize| {
        text.len() == chars && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |text: &str, chars: usize| is_hex(text, chars) && text.bytes().any(|byte| byte != b'0');
    let is_whole = appended.is_empty() || (version != "00" && appended.starts_with('-'));
    let is_valid = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && is_whole;
    (is_valid && is_id(trace_id, 32) && is_id(parent_id, 16)).then_some(trace_id)
}

/// Starts logging to standard error, filtered by `filter` (like `info,ridematch=debug`). `listener` receives all events, whatever the
/// filter.
pub fn init(filter: &str, listener: Option<impl Layer<Registry> + Send + Sync>) {
    let filter: Targets = filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let json = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_filter(filter);
    // Fails if logging was started already, by another test in the process.
    let _ = tracing_subscriber::registry().with(listener).with(json).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn traceparent_of_this_or_a_later_version_has_a_trace_id() {
        for good in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
            "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        ] {
            assert_eq!(parse_traceparent(good), Some(TRACE_ID), "{good}");
        }
    }

    #[test]
    fn invalid_traceparent_has_no_trace_id() {
        let good = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
        for bad in [
            "",
            "00-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b70-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0X",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "xx-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "\u{e9}\u{e9}-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &good.replace("4736", "473"),
            &format!("{good}-more"),
            &format!("{good}-"),
            &format!("{good}0"),
            &good.replacen("00", "cc", 1).replace("-01", "-01.more"),
        ] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
    }
}
