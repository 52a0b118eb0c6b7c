//! The end of a run: captures, refunds and their retries, until the audit of the service finds nothing unsettled.

use std::time::Duration;

use crate::clock::machine_now;
use crate::run_context::RunContext;
use crate::web::api::Audit;
use crate::web::{Call, Role, Session};

/// How long captures, refunds and their retries may take after the last ride, in machine time.
pub(crate) const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

/// Repeats the audit until nothing is unsettled or the time is over, and returns the last one; `None` if it cannot be read.
pub(crate) async fn settle(context: &RunContext, timeout: Duration) -> Option<Audit> {
    let ops = Session::new(Role::Ops, None);
    let deadline = machine_now() + timeout;
    loop {
        let audit = context.client.call::<Audit>(&ops, &Call::get("/v1/ops/audit")).await;
        match audit {
            Ok(audit) if audit.unsettled == 0 || machine_now() >= deadline => return Some(audit),
            Ok(_) => {}
            Err(error) => {
                context.log_failure("city", "cannot read the audit", &error);
                return None;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
