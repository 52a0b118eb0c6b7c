//! What is particular to payments: steps and effects.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::super::history::{self, ChangedAt};
use super::super::{Replacement, events, replace};
use super::{CallOutcome, CallRequest, Cause, Leased, ResultContext, TargetUpdate};
use crate::payments::ledger::{self, PostingStamp};
use crate::payments::model::{
    Payment, PaymentPurpose, PaymentState, ProviderOperation, RefundState, UnresolvedAttempt, count_failure,
    count_rejection,
};
use crate::payments::state_machine::{self, IntentObservation, PaymentStep};
use crate::payments::store::{self, InsertRefund, LeaseQuery, RetrySchedule};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::{Conn, Tx};
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, RefundId};
use crate::platform::outbox;
use crate::platform::wake::Wake;

/// How long after its authorization a hold is first rechecked. Card networks drop a hold after seven days, and the provider's event
/// about that can be lost.
const FIRST_RECHECK_AFTER: TimeDelta = TimeDelta::days(6);

/// How long after a recheck a hold is rechecked again.
const RECHECK_EVERY: TimeDelta = TimeDelta::hours(12);

/// What a call showed about a payment's intent.
#[derive(Debug)]
pub struct ObservedIntent {
    /// The intent's id, where the answer shows one.
    pub intent_id: Option<String>,
    /// What the call showed.
    pub observation: IntentObservation,
}

impl Leased for Payment {
    type Step = PaymentStep;
    type Observation = ObservedIntent;

    fn payment_id(&self) -> PaymentId {
        self.id
    }

    fn refund_id(&self) -> Option<RefundId> {
        None
    }

    fn target_id(&self) -> Uuid {
        self.id.uuid()
    }

    fn lease_token(&self) -> i64 {
        self.lease_token
    }

    fn cause(&self) -> Cause {
        Cause { trip_id: self.trip_id, trace_id: self.trace_id.clone() }
    }

    fn failures(&self) -> i16 {
        self.failures
    }

    fn next_step(&self, unresolved: Option<&UnresolvedAttempt>, now: MachineTime) -> PaymentStep {
        match state_machine::next(self, unresolved, now) {
            // It is due all the same: after an event of the provider, or for a recheck.
            PaymentStep::Idle if self.state == PaymentState::Captured => PaymentStep::ReadDisputes,
            PaymentStep::Idle => PaymentStep::LookUp,
            step => step,
        }
    }

    fn request(&self, step: &PaymentStep) -> Option<CallRequest> {
        let (operation, key, amount) = match step {
            PaymentStep::Create(key) => (ProviderOperation::Create, key.clone(), Some(self.amount.amount)),
            PaymentStep::Confirm => (ProviderOperation::Confirm, None, None),
            PaymentStep::Capture(amount) => (ProviderOperation::Capture, None, Some(*amount)),
            PaymentStep::Cancel => (ProviderOperation::Cancel, None, None),
            PaymentStep::Idle
            | PaymentStep::Find { .. }
            | PaymentStep::RecordAbsent
            | PaymentStep::LookUp
            | PaymentStep::ReadDisputes => return None,
        };
        Some(CallRequest { operation, key, amount })
    }

    fn update(
        &self,
        step: &PaymentStep,
        outcome: &CallOutcome<ObservedIntent>,
        now: MachineTime,
    ) -> TargetUpdate<Self> {
        let (after, next) = match outcome {
            CallOutcome::Inconclusive(why) => (failed(self, why), None),
            CallOutcome::Observed(ObservedIntent { intent_id, observation }) => {
                let provider_intent_id = self.provider_intent_id.clone().or_else(|| intent_id.clone());
                let known = Payment { provider_intent_id, ..self.clone() };
                let rejection = match observation {
                    IntentObservation::Rejected { code, .. } => Some(code.as_str()),
                    _ => None,
                };
                continue_with((step, self.failures), state_machine::observe(&known, observation), rejection, now)
            }
        };
        let after = Payment { version: self.version + i64::from(is_visible_change(self, &after)), ..after };
        let is_conclusive = matches!(outcome, CallOutcome::Observed(_));
        let resolves_attempts = is_conclusive && (after.needs_review.is_none() || after.state.is_terminal());
        TargetUpdate { after, next, resolves_attempts }
    }

    fn idle_schedule(&self, before: &Self, context: &ResultContext) -> RetrySchedule {
        let recheck_after = match (before.state == PaymentState::Authorized, self.state == PaymentState::Authorized) {
            (true, true) => Some(RECHECK_EVERY),
            (false, true) => Some(FIRST_RECHECK_AFTER),
            (_, false) => None,
        };
        RetrySchedule { recheck_at: recheck_after.map(|after| context.domain_now + after), ..RetrySchedule::IDLE }
    }

    async fn lease(conn: &mut Conn, query: LeaseQuery) -> Result<Vec<Result<Self>>> {
        store::lease_payments(conn, query).await
    }

    async fn lock_leased(&self, conn: &mut Conn) -> Result<Option<Self>> {
        store::lock_leased_payment(conn, self.id, self.lease_token).await
    }

    async fn save(&self, conn: &mut Conn, before: &Self, schedule: RetrySchedule, now: DomainTime) -> Result<()> {
        store::save_payment(conn, before, self, schedule, now).await
    }

    async fn write_effects(&self, tx: &mut Tx, before: &Self, context: &ResultContext) -> Result<()> {
        if before.state == self.state {
            return Ok(());
        }
        let (now, domain_now) = (context.now, context.domain_now);
        let at = ChangedAt { domain: domain_now, machine: now };
        history::state_changed(tx, before, self, context.attempt, at).await?;
        events::payment_changed(tx, self, domain_now, now).await?;
        if self.state == PaymentState::Captured {
            let stamp = |id| PostingStamp { id, at: domain_now };
            let postings = ledger::capture(self, stamp(context.posting_id), stamp(context.tip_posting_id));
            store::post(tx, &postings).await?;
        }
        if self.refund_reserved > before.refund_reserved {
            let refund = InsertRefund {
                id: context.refund_id,
                payment_id: self.id,
                amount: self.refund_reserved - before.refund_reserved,
                key_id: None,
                created_at: domain_now,
                due_at: now,
            };
            store::insert_refund(tx, &refund).await?;
            history::refund_is(tx, (self.id, refund.id, refund.amount), RefundState::Pending, None, at).await?;
            tx.wake(Wake::Settlement);
        }
        if let Some(goal) = state_machine::replacement(self) {
            let amount = goal.capture_amount().unwrap_or(self.amount.amount);
            let new = Replacement { id: context.replacement_id, goal, amount };
            replace(tx, self, new, domain_now, now).await?;
        }
        publish_to_trip(tx, self, now).await
    }
}

/// Returns the payment and the step that follows at once, after an observation made by `step`. `failures` are those before the step:
/// an answer that changes nothing, or a rejection, is one more.
fn continue_with(
    (step, failures): (&PaymentStep, i16),
    after: Payment,
    rejection: Option<&str>,
    now: MachineTime,
) -> (Payment, Option<PaymentStep>) {
    // A look-up can find an old capture. A hint about its dispute may have come before.
    if after.state == PaymentState::Captured && *step == PaymentStep::LookUp {
        return (after, Some(PaymentStep::ReadDisputes));
    }
    if after.needs_review.is_some() {
        return (after, None);
    }
    match (state_machine::next(&after, None, now), rejection) {
        (PaymentStep::Idle, _) => (after, None),
        (next, Some(code)) if next == *step => (rejected(Payment { failures, ..after }, code), None),
        (next, None) if next == *step => (failed(&Payment { failures, ..after }, "the answer changed nothing"), None),
        (next, _) => (after, Some(next)),
    }
}

/// Returns the payment after an inconclusive call. One that has ended keeps its reason for a review.
fn failed(payment: &Payment, why: &str) -> Payment {
    let mut after = payment.clone();
    count_failure(&mut after.failures, &mut after.needs_review, why);
    let needs_review = if payment.state.is_terminal() { payment.needs_review.clone() } else { after.needs_review };
    Payment { needs_review, ..after }
}

/// Returns the payment after the provider rejected its call. The hold stays, and the call is repeated with a back-off.
fn rejected(mut payment: Payment, code: &str) -> Payment {
    let why = format!("the provider rejects the call, and its hold stays: {code}");
    count_rejection(&mut payment.failures, &mut payment.needs_review, why);
    payment
}

/// Returns whether the change is visible to a client, so that it is a new version.
fn is_visible_change(before: &Payment, after: &Payment) -> bool {
    let visible = |payment: &Payment| {
        let Payment { state, authorized, captured, refund_reserved, .. } = *payment;
        (state, authorized, captured, refund_reserved, payment.decline_code.clone(), payment.needs_review.clone())
    };
    visible(before) != visible(after)
}

/// Publishes the result of a fare's authorization, which the trip reacts to.
async fn publish_to_trip(tx: &mut Tx, payment: &Payment, now: MachineTime) -> Result<()> {
    let mut payload = json!({ "payment_id": payment.id, "purpose": payment.purpose.as_str() });
    if payment.purpose != PaymentPurpose::Fare {
        return Ok(());
    }
    let topic = match payment.state {
        PaymentState::Authorized => {
            payload["authorized_at"] = json!(now);
            "payment.authorized"
        }
        PaymentState::Declined => "payment.declined",
        PaymentState::Authorizing
        | PaymentState::Capturing
        | PaymentState::Captured
        | PaymentState::Voiding
        | PaymentState::Voided
        | PaymentState::AuthExpired
        | PaymentState::CaptureFailed => return Ok(()),
    };
    outbox::publish(tx, topic, payment.trip_id, payload, now).await
}
