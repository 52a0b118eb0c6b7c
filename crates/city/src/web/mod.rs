//! The service as its clients see it: calls that are tried again under their key, and streams that are taken up again.

pub(crate) mod api;
mod backoff;
mod call;
mod client;
mod events;
mod session;
mod sse;

pub(crate) use backoff::Backoff;
pub(crate) use call::{Call, Failure};
pub(crate) use client::Client;
pub(crate) use events::follow;
pub(crate) use session::{Role, Session};
pub(crate) use sse::Frame;

#[cfg(test)]
mod web_tests;
