//! One refund, step by step, under one lease.

use std::sync::Arc;

use chrono::TimeDelta;

use super::PaymentsContext;
use super::payment::finished;
use crate::payments::commands::refunds::{Heard, Report, Task, conclude};
use crate::payments::gateway::{Answer, ProviderRefund};
use crate::payments::machine::refund::Step;
use crate::payments::store::Finished;
use crate::platform::error::Result;

/// Takes steps until there is nothing more to do now. Each ends in a commit, which names the next.
pub(super) async fn drive(context: PaymentsContext, task: Task) -> Result<()> {
    let mut next = Some(task);
    while let Some(task) = next {
        if !context.may_call(task.leased_until) {
            tracing::warn!(refund_id = %task.refund.id, "too late for a call: the lease is about to run out");
            return Ok(());
        }
        let (end, heard) = take(&context, &task).await;
        tracing::debug!(refund_id = %task.refund.id, step = ?task.step, ?heard, "a step was taken");
        let turn = match heard {
            Heard::Nothing(_) => context.gateway.plan_retry(),
            Heard::Seen { .. } | Heard::Refused(_) | Heard::Absent => TimeDelta::zero(),
        };
        let report = Arc::new(Report {
            refund_id: task.refund.id,
            payment_id: task.refund.payment_id,
            lease_token: task.refund.lease_token,
            intent: task.intent,
            step: task.step,
            end,
            heard,
            aftermath: context.aftermath(task.refund.failures, turn),
        });
        let db = &context.platform.db;
        let commit = || db.transaction(Arc::clone(&report), |tx, report| Box::pin(conclude(tx, report)));
        next = context.insist(report.end.is_some(), commit).await?;
    }
    Ok(())
}

/// Makes the call that a step consists of.
async fn take(context: &PaymentsContext, task: &Task) -> (Option<Finished>, Heard) {
    let gateway = &context.gateway;
    match (&task.step, &task.attempt) {
        (Step::Send(_), Some(attempt)) => {
            let answer = gateway.refund(&task.refund, &task.intent, &attempt.key).await;
            let answer = context.counted("refund", answer);
            (Some(finished(attempt, &answer)), hear(answer))
        }
        (Step::LookUp(id), _) => (None, hear(context.counted("get_refund", gateway.look_at_refund(id).await))),
        (Step::Find(_), _) => {
            let heard = match context.counted("list_refunds", gateway.find_refund(&task.refund, &task.intent).await) {
                Answer::Done(None) => Heard::Absent,
                Answer::Done(Some(found)) => hear(Answer::Done(found)),
                Answer::Refused { code: why, .. } | Answer::Unknown { why, .. } | Answer::NotSent { why } => {
                    Heard::Nothing(why)
                }
            };
            (None, heard)
        }
        (Step::Send(_) | Step::Rest, _) => (None, Heard::Nothing("there was nothing to do".to_owned())),
    }
}

fn hear(answer: Answer<ProviderRefund>) -> Heard {
    match answer {
        Answer::Done(ProviderRefund { id, status }) => Heard::Seen { id, status },
        Answer::Refused { code, .. } => Heard::Refused(code),
        Answer::Unknown { why, .. } | Answer::NotSent { why } => Heard::Nothing(why),
    }
}
