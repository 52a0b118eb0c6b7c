//! What is particular to refunds: steps and effects.

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::events;
use super::super::history::{self, ChangedAt};
use super::{CallOutcome, CallRequest, Cause, Leased, ResultContext, TargetUpdate};
use crate::payments::ledger::{self, PostingStamp};
use crate::payments::model::{ProviderOperation, Refund, RefundState, UnresolvedAttempt, count_failure};
use crate::payments::state_machine::refund::{self, RefundObservation, RefundStep};
use crate::payments::store::{self, LeaseQuery, RetrySchedule};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::{Conn, Tx};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId, RefundId};

/// How long until a refund in progress is looked up again, unless an event comes first.
const LOOK_UP_EVERY: TimeDelta = TimeDelta::minutes(1);

impl Leased for Refund {
    type Step = RefundStep;
    type Observation = RefundObservation;

    fn payment_id(&self) -> PaymentId {
        self.payment_id
    }

    fn refund_id(&self) -> Option<RefundId> {
        Some(self.id)
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

    fn next_step(&self, unresolved: Option<&UnresolvedAttempt>, now: MachineTime) -> RefundStep {
        refund::next(self, unresolved, now)
    }

    fn request(&self, step: &RefundStep) -> Option<CallRequest> {
        match step {
            RefundStep::Send(key) => {
                let operation = ProviderOperation::Refund;
                Some(CallRequest { operation, key: key.clone(), amount: Some(self.amount) })
            }
            RefundStep::Idle | RefundStep::RecordNoIntent | RefundStep::Find(_) | RefundStep::LookUp(_) => None,
        }
    }

    fn update(
        &self,
        step: &RefundStep,
        outcome: &CallOutcome<RefundObservation>,
        _now: MachineTime,
    ) -> TargetUpdate<Self> {
        let (after, next) = match outcome {
            CallOutcome::Observed(observation) => refund::observe(self, step, observation),
            CallOutcome::Inconclusive(why) => {
                let mut after = self.clone();
                count_failure(&mut after.failures, &mut after.needs_review, why);
                // An operator can decide nothing about a refund that succeeded.
                let needs_review = after.needs_review.filter(|_| self.state == RefundState::Pending);
                (Refund { needs_review, ..after }, None)
            }
        };
        // A new key is sent only once the attempt under the old one is known to have had no effect.
        let resolves_attempts = after.provider_refund_id.is_some()
            || after.state != RefundState::Pending
            || next == Some(RefundStep::Send(None));
        TargetUpdate { after, next, resolves_attempts }
    }

    fn idle_schedule(&self, _before: &Self, context: &ResultContext) -> RetrySchedule {
        match (self.state, &self.needs_review) {
            (RefundState::Pending, None) => RetrySchedule::due(context.now + LOOK_UP_EVERY),
            (RefundState::Pending, Some(_)) | (RefundState::Succeeded | RefundState::Failed, _) => RetrySchedule::IDLE,
        }
    }

    async fn lease(conn: &mut Conn, query: LeaseQuery) -> Result<Vec<Result<Self>>> {
        store::lease_refunds(conn, query).await
    }

    async fn lock_leased(&self, conn: &mut Conn) -> Result<Option<Self>> {
        store::lock_payment(conn, self.payment_id).await?;
        store::lock_leased_refund(conn, self.id, self.lease_token).await
    }

    async fn save(&self, conn: &mut Conn, _before: &Self, schedule: RetrySchedule, _now: DomainTime) -> Result<()> {
        store::save_refund(conn, self, schedule).await
    }

    async fn write_effects(&self, tx: &mut Tx, before: &Self, context: &ResultContext) -> Result<()> {
        if self.state == before.state {
            return Ok(());
        }
        let payment = store::lock_payment(tx, self.payment_id).await?;
        let payment = payment.ok_or_else(|| Error::Bug(format!("{} has no payment", self.id)))?;
        let stamp = PostingStamp { id: context.posting_id, at: context.domain_now };
        match (before.state, self.state) {
            (RefundState::Pending, RefundState::Succeeded) => {
                store::post(tx, &[ledger::refund(self, &payment, stamp)]).await?;
                store::reserve_refund(tx, &payment, 0).await?;
            }
            (RefundState::Pending, RefundState::Failed) => store::reserve_refund(tx, &payment, -self.amount).await?,
            (RefundState::Succeeded, RefundState::Failed) => {
                store::post(tx, &[ledger::refund_reversal(self, &payment, stamp)]).await?;
                store::reserve_refund(tx, &payment, -self.amount).await?;
            }
            (before, after) => return Err(Error::Bug(format!("{} went from {before} to {after}", self.id))),
        }
        let at = ChangedAt { domain: context.domain_now, machine: context.now };
        history::refund_is(tx, (payment.id, self.id, self.amount), self.state, context.attempt, at).await?;
        // `reserve_refund` has made a new version of the payment.
        events::refund_changed(tx, (self, &payment), payment.version + 1, context.domain_now, context.now).await
    }
}
