//! The provider's client: the protocol, faults, TLS, and outages.
//!
//! `suite` runs against psp-sim, in this process; or against whatever `PROVIDER_TEST_BASE_URL` names, as
//! `.ci/interop-localstripe` does. The other files need no provider: they answer the client themselves.
#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod faults;
mod options;
mod outage;
mod server;
mod sim;
mod suite;
mod tls;

use crate::harness::{Options, PSP_SECRET, config, free_address};
use ridematch::payments::model::{Goal, Payment, PaymentPurpose, PaymentState, Refund, RefundState};
use ridematch::payments::{ProviderClient, provider::ProviderResult};
use ridematch::platform::Platform;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::ids::{PaymentId, RefundId};
use ridematch::platform::money::Money;
use ridematch::platform::secret::Secret;
use ridematch::startup;

/// Returns the configuration of a provider at `base_url`, with the defaults of production.
fn provider(base_url: &str) -> ProviderConfig {
    ProviderConfig::new(base_url.parse().unwrap(), Secret::new(PSP_SECRET))
}

/// Returns a client with a platform of its own, whose database is never used.
fn client_of(provider: &ProviderConfig) -> (ProviderClient, Platform) {
    let nowhere = free_address();
    let config = config("postgres://user@127.0.0.1:1/nothing", nowhere, nowhere, &Options::default());
    let platform = startup::platform(&config).unwrap();
    (ProviderClient::new(platform.clone(), provider).unwrap(), platform)
}

/// Returns a fare of `amount` minor units with a new id.
fn fare(platform: &Platform, amount: i64, currency: &str, method: &str) -> Payment {
    let now = platform.clock.machine();
    let id: PaymentId = platform.random.id(now);
    Payment {
        id,
        trip_id: platform.random.id(now),
        rider_id: platform.random.id(now),
        driver_id: None,
        purpose: PaymentPurpose::Fare,
        replaces: None,
        state: PaymentState::Authorizing,
        goal: Goal::Hold,
        amount: Money::new(amount, currency.parse().unwrap()),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: method.to_owned(),
        provider_intent_id: None,
        decline_code: None,
        dispute: None,
        needs_review: None,
        failures: 0,
        lease_token: 0,
        version: 1,
        trace_id: None,
    }
}

/// Returns a refund of a part of a payment.
fn refund_of(platform: &Platform, payment: &Payment, amount: i64) -> Refund {
    let id: RefundId = platform.random.id(platform.clock.machine());
    Refund {
        id,
        payment_id: payment.id,
        trip_id: payment.trip_id,
        provider_intent_id: None,
        amount,
        state: RefundState::Pending,
        provider_refund_id: None,
        failure_code: None,
        needs_review: None,
        failures: 0,
        allow_new_key: false,
        lease_token: 0,
        trace_id: None,
    }
}

/// Returns an unused idempotency key.
fn key(platform: &Platform) -> String {
    platform.random.uuid(platform.clock.machine()).to_string()
}

#[track_caller]
fn done<T: std::fmt::Debug>(result: ProviderResult<T>) -> T {
    match result {
        ProviderResult::Done(object) => object,
        other => panic!("not done: {other:?}"),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: ProviderResult<T>) -> String {
    match result {
        ProviderResult::Refused { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn rejected<T: std::fmt::Debug>(result: ProviderResult<T>) -> String {
    match result {
        ProviderResult::Rejected { code, .. } => code,
        other => panic!("not rejected: {other:?}"),
    }
}

#[track_caller]
fn not_sent<T: std::fmt::Debug>(result: ProviderResult<T>) -> String {
    match result {
        ProviderResult::NotSent { why } => why,
        other => panic!("sent: {other:?}"),
    }
}

/// Expects an unknown result; returns whether the provider answered.
#[track_caller]
fn unknown<T: std::fmt::Debug>(result: ProviderResult<T>) -> bool {
    match result {
        ProviderResult::Unknown { answered, .. } => answered,
        other => panic!("not unknown: {other:?}"),
    }
}
