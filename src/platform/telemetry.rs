//! Logging: one JSON object per line, with the trace id of the request or of the worker's run.

use std::sync::Arc;

use tokio::task_local;
use tracing::Span;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The request that a log line, a problem document or an outbox event belongs to.
#[derive(Debug, Clone)]
pub struct Context {
    /// 32 hexadecimal digits, from `traceparent` or generated.
    pub trace_id: Arc<str>,
    /// The path of the request; empty for workers.
    pub path: Arc<str>,
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

/// Returns a span that adds the trace id to each log line.
pub fn span(context: &Context) -> Span {
    tracing::info_span!("request", trace_id = %context.trace_id, path = %context.path)
}

/// Returns the trace id of a W3C `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`, not all zero.
pub fn parse_traceparent(header: &str) -> Option<&str> {
    let mut parts = header.split('-');
    let (_version, trace_id, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_valid = trace_id.len() == 32 && parent.len() == 16 && hex(trace_id) && hex(parent);
    (is_valid && trace_id.bytes().any(|b| b != b'0')).then_some(trace_id)
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

    #[test]
    fn invalid_traceparent_has_no_trace_id() {
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
