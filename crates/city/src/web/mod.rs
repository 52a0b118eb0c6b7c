//! The client of the service: calls that are retried with their idempotency key, and event streams that reconnect.

pub(crate) mod api;
mod backoff;
mod call;
mod client;
mod event_stream;
mod session;
mod sse;

pub(crate) use backoff::Backoff;
pub(crate) use call::{Call, CallError};
pub(crate) use client::Client;
pub(crate) use event_stream::{event_stream, object_events};
pub(crate) use session::{Role, Session};
pub(crate) use sse::Frame;

#[cfg(test)]
mod web_tests;
