//! Prometheus metrics. Labels are route templates, never raw paths: their number is bounded by the code.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::error::{Error, Result};

/// Latency buckets, seconds: half a millisecond to ten seconds, about two per octave where most of it happens.
const LATENCY_BUCKETS_S: [f64; 18] =
    [0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0];

/// All metrics of a process.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric's help text says what it is")]
pub struct Metrics {
    registry: Registry,
    pub http_requests: IntCounterVec,
    pub http_latency: HistogramVec,
    pub match_latency: HistogramVec,
    pub positions: IntCounterVec,
    pub candidates_refused: IntCounterVec,
    pub provider_calls: IntCounterVec,
    pub provider_latency: HistogramVec,
    pub psp_breaker_state: IntGauge,
    pub psp_breaker_transitions: IntCounterVec,
    pub psp_retry_budget: IntGauge,
    pub webhooks: WebhookMetrics,
    pub worker_rounds: IntCounterVec,
    pub reconciliation_open: IntGaugeVec,
    pub reconciliation_age: IntGauge,
    pub pool_connections: IntGaugeVec,
    pub tasks: IntGauge,
    pub outbox_open: IntGauge,
    pub drivers: IntGaugeVec,
    pub followed: IntGauge,
    pub matcher_epoch: IntGauge,
    pub clock_seconds: IntGaugeVec,
}

/// The metrics of webhooks: the provider's, on their way in, and ours, on their way out.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric's help text says what it is")]
pub struct WebhookMetrics {
    pub events: IntCounterVec,
    pub events_kept: IntGaugeVec,
    pub attempts: IntCounterVec,
    pub deliveries: IntGaugeVec,
}

impl WebhookMetrics {
    fn new(make: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            events: make.counter(
                "ridematch_provider_events_total",
                "Events that the payment provider sent: stored, repeated or refused",
                &["end"],
            )?,
            events_kept: make.gauges(
                "ridematch_provider_events",
                "Stored events of the payment provider: waiting to be handled, or set aside for a person",
                &["state"],
            )?,
            attempts: make.counter(
                "ridematch_webhook_attempts_total",
                "Attempts to deliver a webhook, by end; swept: given up without one",
                &["end"],
            )?,
            deliveries: make.gauges(
                "ridematch_webhook_deliveries",
                "Webhook deliveries that are pending, or dead",
                &["state"],
            )?,
        })
    }
}

impl Metrics {
    /// Registers them all.
    ///
    /// # Errors
    /// If two have one name.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let make = Maker(&registry);
        Ok(Self {
            http_requests: make.counter("http_requests_total", "HTTP requests", &["method", "route", "status"])?,
            http_latency: make.histogram(
                "http_request_duration_seconds",
                "HTTP request latency",
                &["method", "route"],
            )?,
            match_latency: make.histogram(
                "ridematch_match_latency_seconds",
                "Real time from the payment's authorisation to the first offer written, by trips matched in one round",
                &["burst"],
            )?,
            positions: make.counter("ridematch_positions_total", "Positions received, by verdict", &["verdict"])?,
            candidates_refused: make.counter(
                "ridematch_candidates_refused_total",
                "Candidates that the index called free and the database did not, by reason",
                &["reason"],
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
            psp_breaker_state: make.gauge(
                "ridematch_psp_breaker_state",
                "Circuit breaker before the payment provider: 0 closed, 1 half open, 2 open",
            )?,
            psp_breaker_transitions: make.counter(
                "ridematch_psp_breaker_transitions_total",
                "Times that the circuit breaker before the payment provider went to a state",
                &["to"],
            )?,
            psp_retry_budget: make.gauge(
                "ridematch_psp_retry_budget",
                "Retries that may go to the payment provider at once; below 0: so many are waiting for their turn",
            )?,
            webhooks: WebhookMetrics::new(&make)?,
            worker_rounds: make.counter(
                "ridematch_worker_rounds_total",
                "Rounds of a worker, by end",
                &["worker", "end"],
            )?,
            reconciliation_open: make.gauges(
                "ridematch_reconciliation_findings_open",
                "Differences from the provider's books that are open, by kind",
                &["kind"],
            )?,
            reconciliation_age: make.gauge(
                "ridematch_reconciliation_last_checked_age_seconds",
                "Time since the last run that could read the provider's books began; -1: there was none",
            )?,
            pool_connections: make.gauges("ridematch_pool_connections", "Database connections", &["state"])?,
            tasks: make.gauge("ridematch_tasks", "Commands and queries under way")?,
            outbox_open: make.gauge("ridematch_outbox_open", "Outbox deliveries not made yet")?,
            drivers: make.gauges("ridematch_drivers", "Drivers in the index", &["state"])?,
            followed: make.gauge("ridematch_streams_followed", "Trips and drivers that a stream follows")?,
            matcher_epoch: make
                .gauge("ridematch_matcher_epoch", "Epoch under which this process is the matcher; 0: it is not")?,
            clock_seconds: make.gauges("ridematch_clock_seconds", "The two clocks, Unix seconds", &["clock"])?,
            registry,
        })
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).map_err(bug)?;
        Ok(text)
    }
}

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn keep<M: prometheus::core::Collector + Clone + 'static>(&self, metric: M) -> Result<M> {
        self.0.register(Box::new(metric.clone())).map_err(bug)?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels).map_err(bug)?)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS_S.to_vec());
        self.keep(HistogramVec::new(opts, labels).map_err(bug)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.keep(IntGauge::new(name, help).map_err(bug)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels).map_err(bug)?)
    }
}

fn bug(error: prometheus::Error) -> Error {
    Error::Bug(format!("metrics: {error}"))
}
