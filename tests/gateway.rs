//! The gateway: the provider's protocol, its bad days, TLS, and what an outage does.
//!
//! `suite` runs against psp-sim, in this process; or against whatever `GATEWAY_TEST_BASE_URL` names, as
//! `.ci/interop-localstripe` does. The other files need no provider: they answer the gateway themselves.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

#[path = "gateway/bad_days.rs"]
mod bad_days;
#[path = "gateway/database.rs"]
mod database;
#[path = "gateway/options.rs"]
mod options;
#[path = "gateway/outage.rs"]
mod outage;
#[path = "gateway/server.rs"]
mod server;
#[path = "gateway/sim.rs"]
mod sim;
#[path = "gateway/suite.rs"]
mod suite;
#[path = "gateway/tls.rs"]
mod tls;

use harness::{Options, PSP_SECRET, config, free_address};
use ridematch::payments::model::{Intent, Payment, Purpose, Refund, RefundState, State};
use ridematch::payments::{Gateway, gateway::Answer};
use ridematch::platform::Platform;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::ids::{PaymentId, RefundId};
use ridematch::platform::money::Money;
use ridematch::platform::secret::Secret;
use ridematch::startup;

/// The provider at an address, with everything else as it is in production.
fn provider(base_url: &str) -> ProviderConfig {
    ProviderConfig::new(base_url.parse().unwrap(), Secret::new(PSP_SECRET))
}

/// A gateway in a process of its own, as it were. Its database is never asked.
fn gateway(provider: &ProviderConfig) -> (Gateway, Platform) {
    let nowhere = free_address();
    let config = config("postgres://nobody@127.0.0.1:1/nothing", nowhere, nowhere, &Options::default());
    let platform = startup::platform(&config).unwrap();
    (Gateway::new(platform.clone(), provider).unwrap(), platform)
}

/// A fare of `amount` minor units, with an id that nobody has seen yet.
fn fare(platform: &Platform, amount: i64, currency: &str, method: &str) -> Payment {
    let now = platform.clock.machine();
    let id: PaymentId = platform.dice.id(now);
    Payment {
        id,
        trip_id: platform.dice.id(now),
        rider_id: platform.dice.id(now),
        driver_id: None,
        purpose: Purpose::Fare,
        replaces: None,
        state: State::Authorizing,
        intent: Intent::Hold,
        amount: Money::new(amount, currency.parse().unwrap()),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: method.to_owned(),
        provider_intent_id: None,
        decline_code: None,
        attention: None,
        failures: 0,
        lease_token: 0,
        version: 1,
    }
}

/// A refund of a part of a payment.
fn refund_of(platform: &Platform, payment: &Payment, amount: i64) -> Refund {
    let id: RefundId = platform.dice.id(platform.clock.machine());
    Refund {
        id,
        payment_id: payment.id,
        amount,
        state: RefundState::Pending,
        provider_refund_id: None,
        failure_code: None,
        attention: None,
        failures: 0,
        another_key: false,
        lease_token: 0,
    }
}

/// A provider's key that was never used.
fn key(platform: &Platform) -> String {
    platform.dice.uuid(platform.clock.machine()).to_string()
}

#[track_caller]
fn done<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer {
        Answer::Done(object) => object,
        other => panic!("not done: {other:?}"),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::Refused { code, .. } => code,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn not_sent<T: std::fmt::Debug>(answer: Answer<T>) -> String {
    match answer {
        Answer::NotSent { why } => why,
        other => panic!("not not sent: {other:?}"),
    }
}

/// Unknown, and whether there was an answer.
#[track_caller]
fn unknown<T: std::fmt::Debug>(answer: Answer<T>) -> bool {
    match answer {
        Answer::Unknown { answered, .. } => answered,
        other => panic!("not unknown: {other:?}"),
    }
}
