//! What happens during a load by the clock: the provider's faults, and events of processes and connections.

use std::sync::Arc;
use std::time::Duration;

use launcher::{BoxError, Mode};
use serde_json::{Value, json};

use super::database::execute;
use super::processes::Stack;
use crate::load::Context;
use crate::load::model::{LoadEvent, LoadEventKind, LoadSpec, ProviderFault};

/// Carries out everything that the load schedules, then waits to be stopped.
///
/// # Errors
/// If the provider refuses a fault, or a statement fails.
pub(super) async fn run(stack: Arc<Stack>, context: Arc<Context>, load: LoadSpec) -> Result<(), BoxError> {
    let events = load.events.iter().map(|event| happen(&stack, &context, event));
    let events = futures_util::future::try_join_all(events);
    tokio::try_join!(plan_faults(&stack, &context, &load), events)?;
    Ok(())
}

/// Plans the provider's faults anew whenever one begins or ends.
async fn plan_faults(stack: &Stack, context: &Context, load: &LoadSpec) -> Result<(), BoxError> {
    let ends = load.provider.iter().flat_map(|fault| [Some(fault.from_s), fault.until_s]).flatten();
    let mut times: Vec<f64> = ends.collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    for at_s in times {
        wait_until(context, at_s).await;
        let is_active = |fault: &&ProviderFault| fault.from_s <= at_s && fault.until_s.is_none_or(|end| at_s < end);
        let faults: Vec<Value> = load.provider.iter().filter(is_active).map(in_its_words).collect();
        stack.plan_faults(&faults, context.target.seed).await?;
        stack.journal.add("provider_faults", &format!("{} planned", faults.len()));
    }
    Ok(())
}

/// The fault as the provider simulator reads it.
fn in_its_words(fault: &ProviderFault) -> Value {
    let mut words = json!(fault);
    if let Some(words) = words.as_object_mut() {
        words.remove("from_s");
        words.remove("until_s");
    }
    words
}

async fn wait_until(context: &Context, at_s: f64) {
    tokio::time::sleep(Duration::from_secs_f64((at_s - context.now_s()).max(0.0))).await;
}

async fn happen(stack: &Stack, context: &Context, event: &LoadEvent) -> Result<(), BoxError> {
    wait_until(context, event.at_s).await;
    let name = json!(event.what);
    stack.journal.add(name.as_str().unwrap_or_default(), &format!("for {} s", event.for_s));
    let time = Duration::from_secs_f64(event.for_s.max(0.0));
    let services = stack.services();
    let service = &services[0];
    match event.what {
        LoadEventKind::KillService => {
            service.kill().await;
        }
        LoadEventKind::RestartService => {
            service.restart().await;
        }
        LoadEventKind::PauseService => {
            service.pause(time).await;
        }
        LoadEventKind::DatabaseAway => set_away(stack.database_proxy.as_ref(), time).await,
        LoadEventKind::ProviderAway => set_away(stack.provider_proxy.as_ref(), time).await,
        LoadEventKind::DatabaseHolds => {
            if let Some(proxy) = &stack.database_proxy {
                proxy.set_mode(Mode::HoldResponses);
                tokio::time::sleep(time).await;
                proxy.set_mode(Mode::Pass);
            }
        }
        LoadEventKind::CutDatabase => {
            stack.database_proxy.iter().for_each(|proxy| _ = proxy.cut(|| true));
        }
        LoadEventKind::Sql => execute(&stack.database_url, event.sql.as_deref().unwrap_or_default()).await?,
        LoadEventKind::AdvanceClock => {
            #[allow(clippy::cast_possible_truncation, reason = "seconds")]
            stack.set_clock(&json!({ "advance_s": event.domain_s as i64 })).await?;
            context.read_clock().await?;
        }
        LoadEventKind::ReconnectDrivers => context.reconnect_drivers(),
    }
    Ok(())
}

async fn set_away(proxy: Option<&launcher::Proxy>, time: Duration) {
    let Some(proxy) = proxy else { return };
    proxy.set_mode(Mode::Refuse);
    proxy.cut(|| true);
    tokio::time::sleep(time).await;
    proxy.set_mode(Mode::Pass);
}

/// Ends every fault and event.
///
/// # Errors
/// If the provider does not answer.
pub(super) async fn heal(stack: &Stack) -> Result<(), BoxError> {
    for proxy in stack.database_proxy.iter().chain(&stack.provider_proxy) {
        proxy.set_mode(Mode::Pass);
    }
    stack.plan_faults(&[], 0).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn provider_reads_a_fault_without_its_times() {
        let fault = "from_s = 2\nuntil_s = 4\non = \"capture\"\nkind = \"latency\"\np50_ms = 300";
        let fault: ProviderFault = toml::from_str(fault).unwrap();
        assert_eq!(in_its_words(&fault), json!({"on": "capture", "kind": "latency", "p50_ms": 300}));
    }
}
