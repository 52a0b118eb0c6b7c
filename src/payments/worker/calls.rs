//! The provider call of each step, and what its result shows.

use super::PoolContext;
use crate::payments::commands::operation::{CallOutcome, CommittedAttempt, Leased, LeasedOperation, ObservedIntent};
use crate::payments::model::{AttemptOutcome, Payment, Refund};
use crate::payments::provider::{ProviderIntent, ProviderRefund, ProviderResult};
use crate::payments::state_machine::refund::{RefundObservation, RefundStep};
use crate::payments::state_machine::{IntentObservation, PaymentStep};
use crate::payments::store::FinishedAttempt;

/// The result of a step: the end of its attempt, and what it showed.
type CallEnd<T> = (Option<FinishedAttempt>, CallOutcome<<T as Leased>::Observation>);

/// A row whose steps are calls to the provider.
pub(super) trait ProviderCalls: Leased {
    /// Makes the call of a step.
    fn call(context: &PoolContext, operation: &LeasedOperation<Self>) -> impl Future<Output = CallEnd<Self>> + Send;
}

impl ProviderCalls for Payment {
    async fn call(context: &PoolContext, operation: &LeasedOperation<Self>) -> CallEnd<Self> {
        let (client, payment) = (&context.client, &operation.target);
        let intent_id = payment.provider_intent_id.as_deref().unwrap_or_default();
        let Some(attempt) = &operation.attempt else {
            return (None, look_up(context, operation, intent_id).await);
        };
        let key = &attempt.key;
        let result = match operation.step {
            PaymentStep::Create(_) => context.counted("create", client.create(payment, key).await),
            PaymentStep::Confirm => context.counted("confirm", client.confirm(intent_id, key).await),
            PaymentStep::Capture(amount) => context.counted("capture", client.capture(intent_id, amount, key).await),
            PaymentStep::Cancel => context.counted("cancel", client.cancel(intent_id, key).await),
            PaymentStep::Idle
            | PaymentStep::Find { .. }
            | PaymentStep::RecordAbsent
            | PaymentStep::LookUp
            | PaymentStep::ReadDisputes => {
                unreachable!("a step that changes nothing at the provider has no attempt")
            }
        };
        let end = Some(finished(attempt, &result));
        // An error does not always show the intent. If one exists, its state decides.
        let result = match result {
            ProviderResult::Refused { code, object: None } if !intent_id.is_empty() => {
                let look_up = context.counted("get", client.intent(intent_id).await);
                with_intent(look_up, |intent| ProviderResult::Refused { code, object: Some(intent) })
            }
            ProviderResult::Rejected { code, object: None } if !intent_id.is_empty() => {
                let look_up = context.counted("get", client.intent(intent_id).await);
                with_intent(look_up, |intent| ProviderResult::Rejected { code, object: Some(intent) })
            }
            result => result,
        };
        (end, observed_intent(result))
    }
}

/// Takes a step that changes nothing at the provider.
async fn look_up(
    context: &PoolContext,
    operation: &LeasedOperation<Payment>,
    intent_id: &str,
) -> CallOutcome<ObservedIntent> {
    let absent = || observed(None, IntentObservation::Absent);
    match operation.step {
        PaymentStep::RecordAbsent => absent(),
        PaymentStep::ReadDisputes => match context.counted("list_disputes", context.client.dispute(intent_id).await) {
            ProviderResult::Done(dispute) => observed(None, IntentObservation::Disputes(dispute)),
            ProviderResult::Refused { code: why, .. }
            | ProviderResult::Rejected { code: why, .. }
            | ProviderResult::Unknown { why, .. }
            | ProviderResult::NotSent { why } => CallOutcome::Inconclusive(why),
        },
        PaymentStep::Find { since, until } => {
            match context.counted("list", context.client.find_intent(&operation.target, (since, until)).await) {
                ProviderResult::Done(Some(found)) => observed_intent(ProviderResult::Done(found)),
                ProviderResult::Done(None) => absent(),
                // A refusal to show the list shows nothing about the intent.
                ProviderResult::Refused { code: why, .. }
                | ProviderResult::Rejected { code: why, .. }
                | ProviderResult::Unknown { why, .. }
                | ProviderResult::NotSent { why } => CallOutcome::Inconclusive(why),
            }
        }
        PaymentStep::Idle
        | PaymentStep::Create(_)
        | PaymentStep::Confirm
        | PaymentStep::Capture(_)
        | PaymentStep::Cancel
        | PaymentStep::LookUp => observed_intent(context.counted("get", context.client.intent(intent_id).await)),
    }
}

fn observed(intent_id: Option<String>, observation: IntentObservation) -> CallOutcome<ObservedIntent> {
    CallOutcome::Observed(ObservedIntent { intent_id, observation })
}

fn observed_intent(result: ProviderResult<ProviderIntent>) -> CallOutcome<ObservedIntent> {
    match result {
        ProviderResult::Done(ProviderIntent { id, snapshot }) => {
            observed(Some(id), IntentObservation::Snapshot(snapshot))
        }
        ProviderResult::Refused { code, object } => {
            observed(None, IntentObservation::Refused { code, snapshot: object.map(|intent| intent.snapshot) })
        }
        ProviderResult::Rejected { code, object: Some(intent) } => {
            observed(None, IntentObservation::Rejected { code, snapshot: intent.snapshot })
        }
        ProviderResult::Rejected { code: why, object: None }
        | ProviderResult::Unknown { why, .. }
        | ProviderResult::NotSent { why } => CallOutcome::Inconclusive(why),
    }
}

/// Returns an error with the intent that the look-up after it shows; without one, the look-up.
fn with_intent(
    look_up: ProviderResult<ProviderIntent>,
    error: impl FnOnce(ProviderIntent) -> ProviderResult<ProviderIntent>,
) -> ProviderResult<ProviderIntent> {
    match look_up {
        ProviderResult::Done(intent) => error(intent),
        look_up => look_up,
    }
}

impl ProviderCalls for Refund {
    async fn call(context: &PoolContext, operation: &LeasedOperation<Self>) -> CallEnd<Self> {
        let (client, refund) = (&context.client, &operation.target);
        let Some(intent_id) = &refund.provider_intent_id else {
            return (None, CallOutcome::Observed(RefundObservation::NoIntent));
        };
        match (&operation.step, &operation.attempt) {
            (RefundStep::Send(_), Some(attempt)) => {
                let result = context.counted("refund", client.refund(refund, intent_id, &attempt.key).await);
                (Some(finished(attempt, &result)), observed_refund(result))
            }
            (RefundStep::LookUp(id), _) => {
                (None, observed_refund(context.counted("get_refund", client.refund_status(id).await)))
            }
            (RefundStep::Find(_), _) => {
                let outcome = match context.counted("list_refunds", client.find_refund(refund, intent_id).await) {
                    ProviderResult::Done(None) => CallOutcome::Observed(RefundObservation::Unlisted),
                    ProviderResult::Done(Some(found)) => observed_refund(ProviderResult::Done(found)),
                    ProviderResult::Refused { code: why, .. }
                    | ProviderResult::Rejected { code: why, .. }
                    | ProviderResult::Unknown { why, .. }
                    | ProviderResult::NotSent { why } => CallOutcome::Inconclusive(why),
                };
                (None, outcome)
            }
            (RefundStep::Send(_) | RefundStep::Idle | RefundStep::RecordNoIntent, _) => {
                (None, CallOutcome::Inconclusive("the step has no call".to_owned()))
            }
        }
    }
}

fn observed_refund(result: ProviderResult<ProviderRefund>) -> CallOutcome<RefundObservation> {
    match result {
        ProviderResult::Done(ProviderRefund { id, status }) => {
            CallOutcome::Observed(RefundObservation::Snapshot { id, status })
        }
        ProviderResult::Refused { code, .. } => CallOutcome::Observed(RefundObservation::Refused(code)),
        ProviderResult::Rejected { code: why, .. }
        | ProviderResult::Unknown { why, .. }
        | ProviderResult::NotSent { why } => CallOutcome::Inconclusive(why),
    }
}

/// Returns the end of an attempt that had this result.
fn finished<T>(attempt: &CommittedAttempt, result: &ProviderResult<T>) -> FinishedAttempt {
    let (outcome, answered, detail) = match result {
        ProviderResult::Done(_) => (AttemptOutcome::Succeeded, true, None),
        ProviderResult::Refused { code, .. } | ProviderResult::Rejected { code, .. } => {
            (AttemptOutcome::Declined, true, Some(code))
        }
        ProviderResult::Unknown { answered, why } => (AttemptOutcome::Unknown, *answered, Some(why)),
        ProviderResult::NotSent { why } => (AttemptOutcome::NotSent, false, Some(why)),
    };
    FinishedAttempt { id: attempt.id, outcome, answered, detail: detail.cloned() }
}
