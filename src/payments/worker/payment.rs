//! One payment, step by step, under one lease.

use std::sync::Arc;

use chrono::TimeDelta;

use super::PaymentsContext;
use crate::payments::commands::work::{Attempt, Heard, Report, Task, conclude};
use crate::payments::gateway::{Answer, ProviderIntent};
use crate::payments::machine::{News, Step};
use crate::payments::model::Outcome;
use crate::payments::store::Finished;
use crate::platform::error::Result;

/// Takes steps until there is nothing more to do now. Each ends in a commit, which names the next.
pub(super) async fn drive(context: PaymentsContext, task: Task) -> Result<()> {
    let mut next = Some(task);
    while let Some(task) = next {
        if !context.may_call(task.leased_until) {
            tracing::warn!(payment_id = %task.payment.id, "too late for a call: the lease is about to run out");
            return Ok(());
        }
        let (end, heard) = take(&context, &task).await;
        tracing::debug!(payment_id = %task.payment.id, step = ?task.step, ?heard, "a step was taken");
        let turn = match heard {
            Heard::Nothing(_) => context.gateway.plan_retry(),
            Heard::News { .. } => TimeDelta::zero(),
        };
        let report = Arc::new(Report {
            payment_id: task.payment.id,
            lease_token: task.payment.lease_token,
            step: task.step,
            end,
            heard,
            aftermath: context.aftermath(task.payment.failures, turn),
        });
        let db = &context.platform.db;
        let commit = || db.transaction(Arc::clone(&report), |tx, report| Box::pin(conclude(tx, report)));
        next = context.insist(report.end.is_some(), commit).await?;
    }
    Ok(())
}

/// Makes the call that a step consists of.
async fn take(context: &PaymentsContext, task: &Task) -> (Option<Finished>, Heard) {
    let (gateway, payment) = (&context.gateway, &task.payment);
    let intent = payment.provider_intent_id.as_deref().unwrap_or_default();
    let Some(attempt) = &task.attempt else {
        return (None, look(context, task, intent).await);
    };
    let answer = match task.step {
        Step::Confirm => context.counted("confirm", gateway.confirm(intent, &attempt.key).await),
        Step::Capture(amount) => context.counted("capture", gateway.capture(intent, amount, &attempt.key).await),
        Step::Cancel => context.counted("cancel", gateway.cancel(intent, &attempt.key).await),
        _ => context.counted("create", gateway.create(payment, &attempt.key).await),
    };
    let end = finished(attempt, &answer);
    let heard = match answer {
        // Refused, and we are not told how it stands. There is nothing to look at if it was never made.
        Answer::Refused { code, object: None } if !intent.is_empty() => {
            after_refusal(code, context.counted("get", gateway.intent(intent).await))
        }
        answer => hear(answer),
    };
    (Some(end), heard)
}

/// Takes a step that changes nothing at the provider.
async fn look(context: &PaymentsContext, task: &Task, intent: &str) -> Heard {
    let absent = Heard::News { intent_id: None, news: News::Absent };
    match task.step {
        Step::Forget => absent,
        Step::Find(since) => match context.counted("list", context.gateway.find_intent(&task.payment, since).await) {
            Answer::Done(Some(found)) => hear(Answer::Done(found)),
            Answer::Done(None) => absent,
            // A refusal to show the list says nothing of the intent.
            Answer::Refused { code: why, .. } | Answer::Unknown { why, .. } | Answer::NotSent { why } => {
                Heard::Nothing(why)
            }
        },
        _ => hear(context.counted("get", context.gateway.intent(intent).await)),
    }
}

fn hear(answer: Answer<ProviderIntent>) -> Heard {
    match answer {
        Answer::Done(ProviderIntent { id, seen }) => Heard::News { intent_id: Some(id), news: News::Seen(seen) },
        Answer::Refused { code, object } => {
            Heard::News { intent_id: None, news: News::Refused { code, seen: object.map(|intent| intent.seen) } }
        }
        Answer::Unknown { why, .. } | Answer::NotSent { why } => Heard::Nothing(why),
    }
}

/// A call was refused with `code`, and this came of the look that followed.
fn after_refusal(code: String, look: Answer<ProviderIntent>) -> Heard {
    match look {
        Answer::Done(intent) => Heard::News { intent_id: None, news: News::Refused { code, seen: Some(intent.seen) } },
        Answer::Refused { code, .. } => Heard::News { intent_id: None, news: News::Refused { code, seen: None } },
        Answer::Unknown { why, .. } | Answer::NotSent { why } => Heard::Nothing(why),
    }
}

/// How an attempt ended that was answered like this.
pub(super) fn finished<T>(attempt: &Attempt, answer: &Answer<T>) -> Finished {
    let (outcome, answered, detail) = match answer {
        Answer::Done(_) => (Outcome::Succeeded, true, None),
        Answer::Refused { code, .. } => (Outcome::Declined, true, Some(code)),
        Answer::Unknown { answered, why } => (Outcome::Unknown, *answered, Some(why)),
        Answer::NotSent { why } => (Outcome::NotSent, false, Some(why)),
    };
    Finished { id: attempt.id, outcome, answered, detail: detail.cloned() }
}
