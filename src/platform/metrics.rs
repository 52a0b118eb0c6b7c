//! Prometheus metrics. Every label has its values from a fixed set: route templates and known methods, never what a caller sends. So the
//! number of series is bounded, whatever arrives, and before authentication too.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::error::{Error, Result};
use super::{Platform, outbox};

mod dispatch;

pub use dispatch::DispatchMetrics;

/// The buckets of latencies, seconds: 0.5 ms to 10 s, about two per octave in the common range.
const LATENCY_BUCKETS_S: [f64; 18] =
    [0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0];

/// The methods of the operations, and those that browsers and proxies send by themselves.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

/// Returns the label of a method: its name, or `OTHER`.
pub fn method_label(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// The metrics of a process.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct Metrics {
    registry: Registry,
    pub http_requests: IntCounterVec,
    pub http_latency: HistogramVec,
    pub dispatch: DispatchMetrics,
    pub supply: SupplyMetrics,
    pub drives: IntCounterVec,
    pub provider_calls: IntCounterVec,
    pub provider_latency: HistogramVec,
    pub psp_breaker_state: IntGaugeVec,
    pub psp_breaker_transitions: IntCounterVec,
    pub psp_retry_budget: IntGaugeVec,
    pub webhooks: WebhookMetrics,
    pub workers: WorkerMetrics,
    pub retention: RetentionMetrics,
    pub reconciliation_open: IntGaugeVec,
    pub reconciliation_age: IntGauge,
    pub reconciliation_watermark_age: IntGauge,
    pub pool_connections: IntGaugeVec,
    pub tasks: IntGauge,
    pub outbox_open: IntGauge,
    pub streams: StreamMetrics,
    pub matcher_epoch: IntGauge,
    pub clock_seconds: IntGaugeVec,
}

/// The metrics of positions and of the driver index.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct SupplyMetrics {
    pub positions: IntCounterVec,
    pub index_repairs: IntCounterVec,
    pub drivers: IntGaugeVec,
}

impl SupplyMetrics {
    fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            positions: make.counter("ridematch_positions_total", "Positions received, by verdict", &["verdict"])?,
            index_repairs: make.counter(
                "ridematch_index_repairs_total",
                "Drivers whose status in the index differed from the database for a second, by kind",
                &["kind"],
            )?,
            drivers: make.gauges("ridematch_drivers", "Drivers in the index", &["state"])?,
        })
    }
}

/// The metrics of the provider's webhooks, and of our own.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct WebhookMetrics {
    pub events: IntCounterVec,
    pub events_kept: IntGaugeVec,
    pub attempts: IntCounterVec,
    pub deliveries: IntGaugeVec,
}

impl WebhookMetrics {
    fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            events: make.counter(
                "ridematch_provider_events_total",
                "Events received from the payment provider, by result: stored, repeated or refused",
                &["end"],
            )?,
            events_kept: make.gauges(
                "ridematch_provider_events",
                "Stored events of the payment provider that are waiting, or set aside for an operator",
                &["state"],
            )?,
            attempts: make.counter(
                "ridematch_webhook_attempts_total",
                "Attempts to deliver a webhook, by result; swept: discarded without an attempt",
                &["end"],
            )?,
            deliveries: make.gauges(
                "ridematch_webhook_deliveries",
                "Webhook deliveries that are pending or dead",
                &["state"],
            )?,
        })
    }
}

/// The metrics of streams.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct StreamMetrics {
    pub followed: IntGauge,
    pub open: IntGauge,
}

impl StreamMetrics {
    fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            followed: make.gauge("ridematch_streams_followed", "Trips and drivers with an open stream")?,
            open: make.gauge("ridematch_streams_open", "Open event streams and WebSockets")?,
        })
    }
}

/// The metrics of the workers.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct WorkerMetrics {
    pub runs: IntCounterVec,
    pub rows_postponed: IntCounterVec,
}

impl WorkerMetrics {
    fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            runs: make.counter("ridematch_worker_runs_total", "Runs of a worker, by result", &["worker", "end"])?,
            rows_postponed: make.counter(
                "ridematch_rows_postponed_total",
                "Rows that a worker could not process and left for later, by reason: locked, unreadable or failed",
                &["worker", "reason"],
            )?,
        })
    }
}

/// The metrics of the retention.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct RetentionMetrics {
    pub deleted: IntCounterVec,
    pub behind: IntGaugeVec,
}

impl RetentionMetrics {
    fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            deleted: make.counter("ridematch_retention_deleted_total", "Expired rows that were deleted", &["rows"])?,
            behind: make.gauges(
                "ridematch_retention_behind",
                "1 if the last batch of expired rows was full or failed: there may be more; otherwise 0",
                &["rows"],
            )?,
        })
    }
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// If two metrics have the same name.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let make = Registrar(&registry);
        Ok(Self {
            http_requests: make.counter("http_requests_total", "HTTP requests", &["method", "route", "status"])?,
            http_latency: make.histogram(
                "http_request_duration_seconds",
                "HTTP request latency",
                &["method", "route"],
            )?,
            dispatch: DispatchMetrics::new(&make)?,
            supply: SupplyMetrics::new(&make)?,
            drives: make.counter(
                "ridematch_drives_total",
                "Drives computed, by source: streets, or estimate without a map and off it",
                &["source"],
            )?,
            provider_calls: make.counter(
                "ridematch_provider_calls_total",
                "Calls to the payment provider, by operation and outcome",
                &["operation", "outcome"],
            )?,
            provider_latency: make.histogram(
                "ridematch_provider_call_duration_seconds",
                "Latency of calls to the payment provider, by operation and outcome",
                &["operation", "outcome"],
            )?,
            psp_breaker_state: make.gauges(
                "ridematch_psp_breaker_state",
                "State of the circuit breaker for a pool of calls to the payment provider: 0 closed, 1 half-open, 2 open",
                &["pool"],
            )?,
            psp_breaker_transitions: make.counter(
                "ridematch_psp_breaker_transitions_total",
                "Transitions of a pool's circuit breaker, by new state",
                &["pool", "to"],
            )?,
            psp_retry_budget: make.gauges(
                "ridematch_psp_retry_budget",
                "Retries of a pool that may be sent to the payment provider now; if negative, the number of waiting retries",
                &["pool"],
            )?,
            webhooks: WebhookMetrics::new(&make)?,
            workers: WorkerMetrics::new(&make)?,
            retention: RetentionMetrics::new(&make)?,
            reconciliation_open: make.gauges(
                "ridematch_reconciliation_findings_open",
                "Open reconciliation findings, by kind",
                &["kind"],
            )?,
            reconciliation_age: make.gauge(
                "ridematch_reconciliation_last_checked_age_seconds",
                "Time since the start of the last reconciliation run that read the provider's records; -1 if none did",
            )?,
            reconciliation_watermark_age: make.gauge(
                "ridematch_reconciliation_watermark_age_seconds",
                "Age of the latest payment before which every payment was compared after its trip was settled; -1 before the first",
            )?,
            pool_connections: make.gauges("ridematch_pool_connections", "Database connections", &["state"])?,
            tasks: make.gauge("ridematch_tasks", "Running commands and queries")?,
            outbox_open: make.gauge("ridematch_outbox_open", "Open outbox deliveries")?,
            streams: StreamMetrics::new(&make)?,
            matcher_epoch: make
                .gauge("ridematch_matcher_epoch", "Epoch of this process as the matcher; 0 if it is not the matcher")?,
            clock_seconds: make.gauges("ridematch_clock_seconds", "The two clocks, Unix seconds", &["clock"])?,
            registry,
        })
    }

    /// Returns the metrics in the Prometheus text format.
    ///
    /// # Errors
    /// If a metric cannot be encoded.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(bug)?;
        Ok(text)
    }
}

struct Registrar<'a>(&'a Registry);

impl Registrar<'_> {
    fn register<M: prometheus::core::Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.0.register(Box::new(metric.clone())).map_err(bug)?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels).map_err(bug)?)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.histogram_in(name, help, labels, &LATENCY_BUCKETS_S)
    }

    fn histogram_in(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels).map_err(bug)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(name, help).map_err(bug)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels).map_err(bug)?)
    }
}

/// Updates the gauges of the process itself, for `GET /metrics`.
pub fn update_process_gauges(platform: &Platform) {
    let metrics = &platform.metrics;
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (pool, listener) = (platform.db.pool(), platform.db.listener());
    metrics.pool_connections.with_label_values(&["open"]).set(i64::from(pool.size() + listener.size()));
    metrics.pool_connections.with_label_values(&["idle"]).set(whole(pool.num_idle()));
    metrics.tasks.set(whole(platform.db.tasks_running()));
    metrics.streams.followed.set(whole(platform.db.wake_hub().subscribed()));
    metrics.streams.open.set(whole(platform.streams.open()));
    metrics.matcher_epoch.set(platform.leadership.epoch().unwrap_or(0));
    metrics.clock_seconds.with_label_values(&["machine"]).set(platform.clock.machine().utc().timestamp());
    metrics.clock_seconds.with_label_values(&["domain"]).set(platform.clock.domain().utc().timestamp());
}

/// Updates the gauges of the platform's tables.
///
/// # Errors
/// If the database does not respond.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let deliveries = platform.db.read((), |conn, ()| Box::pin(outbox::open_deliveries(conn))).await?;
    platform.metrics.outbox_open.set(deliveries);
    Ok(())
}

fn bug(error: prometheus::Error) -> Error {
    Error::Bug(format!("metrics: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_method_has_the_label_other() {
        assert_eq!(method_label("POST"), "POST");
        for unknown in ["post", "BREW", "PATCH", "", "X\u{e9}", "GETGET"] {
            assert_eq!(method_label(unknown), "OTHER", "{unknown}");
        }
    }
}
