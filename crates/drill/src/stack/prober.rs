//! Probes the services and restarts one that does not answer, as an orchestrator does.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;

use super::processes::Stack;
use crate::load::model::SupervisorSpec;

/// Probes every service until the task is stopped.
pub(super) async fn run(stack: Arc<Stack>, spec: SupervisorSpec) {
    let probes = (0..stack.urls.len()).map(|number| probe(&stack, &spec, number));
    futures_util::future::join_all(probes).await;
}

async fn probe(stack: &Stack, spec: &SupervisorSpec, number: usize) {
    let url = format!("{}{}", stack.urls[number], spec.probe);
    let mut failures = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(spec.every_ms)).await;
        let Some(service) = stack.services().get(number).cloned() else { continue };
        // A process that does not listen yet is starting.
        if service.address().borrow().is_none() {
            failures = 0;
            continue;
        }
        failures = if is_well(&stack.http, &url, spec.time_out_ms).await { 0 } else { failures + 1 };
        if failures >= spec.failures.max(1) {
            failures = 0;
            stack.journal.add("probe_restart", &format!("{} failed {} times", spec.probe, spec.failures));
            service.kill().await;
        }
    }
}

async fn is_well(http: &Client, url: &str, time_out_ms: u64) -> bool {
    let request = http.get(url).timeout(Duration::from_millis(time_out_ms)).send();
    request.await.is_ok_and(|response| response.status().is_success())
}
