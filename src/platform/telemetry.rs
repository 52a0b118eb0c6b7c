//! Logs: one JSON object a line, each with the trace id of the request or the worker's round that it belongs to.

use std::sync::Arc;

use tokio::task_local;
use tracing::Span;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What a log line, a problem document and an outbox event say about the request they belong to.
#[derive(Debug, Clone)]
pub struct Context {
    /// 32 hexadecimal digits, from `traceparent` or made here.
    pub trace_id: Arc<str>,
    /// The request's path; empty for workers.
    pub path: Arc<str>,
}

task_local! {
    static CONTEXT: Context;
}

/// The context that this code runs in, if it runs in one.
pub fn context() -> Option<Context> {
    CONTEXT.try_with(Clone::clone).ok()
}

/// The trace id that this code runs under.
pub fn trace_id() -> Option<String> {
    CONTEXT.try_with(|context| context.trace_id.to_string()).ok()
}

/// Runs `work` in `context`.
pub async fn within<T>(context: Option<Context>, work: impl Future<Output = T>) -> T {
    match context {
        Some(context) => CONTEXT.scope(context, work).await,
        None => work.await,
    }
}

/// The span that puts the trace id into every line.
pub fn span(context: &Context) -> Span {
    tracing::info_span!("request", trace_id = %context.trace_id, path = %context.path)
}

/// Reads the trace id of a W3C `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`, not all zero.
pub fn parse_traceparent(header: &str) -> Option<&str> {
    let mut parts = header.split('-');
    let (_version, trace_id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let fits = trace_id.len() == 32 && parent.len() == 16 && hex(trace_id) && hex(parent);
    (fits && trace_id.bytes().any(|b| b != b'0')).then_some(trace_id)
}

/// Starts logging to standard error, filtered by `filter` (like `info,ridematch=debug`). `listener` hears what it wants, whatever
/// is logged.
pub fn init(filter: &str, listener: Option<impl Layer<Registry> + Send + Sync>) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_filter(filter);
    // A second start (tests in one process) is not an error.
    let _already = tracing_subscriber::registry().with(listener).with(json).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_gives_its_trace_id_or_nothing() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parse_traceparent(good), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            &good.replace("4736", "473"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
    }
}
