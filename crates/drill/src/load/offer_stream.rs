//! How a driver learns of offers: by polling, server-sent events or a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use launcher::BoxError;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::caller::Caller;
use super::context::Context;
use super::driver::Notice;
use super::model::{DriverGroup, Receive};

/// Between two polls.
const POLL_EVERY: Duration = Duration::from_millis(400);

/// Before a broken stream is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// The longest silence of a stream. The service sends a comment or a ping every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long opening may take.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// The longest event.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Sends the driver's offers to `offers`, whatever happens to the connection. Sends what arrives in `reports` over the WebSocket.
pub(super) async fn receive(
    context: &Arc<Context>,
    group: &DriverGroup,
    (subject, token, number): (&str, &str, usize),
    offers: UnboundedSender<Notice>,
    mut reports: UnboundedReceiver<String>,
) {
    let caller = Caller::known(context, &group.name, number, (subject, token));
    let listener = Listener { context, group, subject, token, number, name: &caller.name };
    // Of the last event received.
    let mut last_id = String::new();
    loop {
        match group.receive {
            Receive::Poll => {
                let profile = caller.get("GET /v1/drivers/me", "").await;
                forward(&profile.body, &offers);
                tokio::time::sleep(POLL_EVERY).await;
            }
            Receive::Sse => {
                let _broken = read_events(&listener, &mut last_id, &offers).await;
                tokio::time::sleep(OPEN_AGAIN).await;
            }
            Receive::WebSocket => {
                let ends = (&offers, &mut reports);
                let _broken = read_socket(&listener, &mut last_id, ends).await;
                tokio::time::sleep(OPEN_AGAIN).await;
            }
        }
    }
}

/// A driver who listens.
struct Listener<'a> {
    context: &'a Context,
    group: &'a DriverGroup,
    subject: &'a str,
    token: &'a str,
    number: usize,
    name: &'a str,
}

impl Listener<'_> {
    /// Records an event that has a number.
    fn received(&self, message: &Value) {
        if let (Some(seq), Some(event)) = (message["seq"].as_i64(), message["type"].as_str()) {
            self.context.driver_event_received((&self.group.name, self.name), seq, event);
        }
    }
}

/// Forwards the offer of a snapshot, a profile or an event, if it has a pending one.
fn forward(message: &Value, offers: &UnboundedSender<Notice>) {
    let offer = &message["offer"];
    let is_pending = offer["status"].as_str().is_none_or(|status| status == "pending");
    if offer["id"].is_string() && is_pending {
        let _ended = offers.send(Notice::Offer(offer.clone()));
    }
}

/// Reads server-sent events until the connection ends.
async fn read_events(
    listener: &Listener<'_>,
    last_id: &mut String,
    offers: &UnboundedSender<Notice>,
) -> Result<(), BoxError> {
    let &Listener { context, subject, token, number, .. } = listener;
    let url = format!("{}/v1/drivers/me/events", context.url_of(number));
    let mut request = context.http.get(url).bearer_auth(token).header("Accept", "text/event-stream");
    if !last_id.is_empty() {
        request = request.header("Last-Event-ID", last_id.as_str());
    }
    let mut response = tokio::time::timeout(OPENS_WITHIN, request.send()).await??.error_for_status()?;
    context.stream_opened(subject);
    let mut text = Vec::new();
    while let Some(bytes) = tokio::time::timeout(SILENCE_MAX, response.chunk()).await?? {
        text.extend_from_slice(&bytes);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            for line in String::from_utf8_lossy(&event).lines() {
                match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                    Some(("id", id)) => id.clone_into(last_id),
                    Some(("data", data)) => {
                        let message = serde_json::from_str(data).unwrap_or_default();
                        listener.received(&message);
                        forward(&message, offers);
                    }
                    _ => {}
                }
            }
        }
        if text.len() > EVENT_BYTES_MAX {
            return Err("too long an event".into());
        }
    }
    Ok(())
}

/// Reads a WebSocket until it ends, and sends the driver's reports over it.
async fn read_socket(
    listener: &Listener<'_>,
    last_id: &mut String,
    (offers, reports): (&UnboundedSender<Notice>, &mut UnboundedReceiver<String>),
) -> Result<(), BoxError> {
    let &Listener { context, group, subject, token, number, .. } = listener;
    let base = match group.positions {
        super::model::Positions::Own => context.matcher_url(),
        _ => context.url_of(number),
    };
    let mut request = format!("{}/v1/drivers/me/stream", base.replacen("http", "ws", 1)).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("Authorization", HeaderValue::from_str(&format!("Bearer {token}"))?);
    if !last_id.is_empty() {
        headers.insert("Last-Event-ID", HeaderValue::from_str(last_id)?);
    }
    let (socket, _) = tokio::time::timeout(OPENS_WITHIN, tokio_tungstenite::connect_async(request)).await??;
    context.stream_opened(subject);
    let (mut sink, mut stream) = socket.split();
    loop {
        let message = tokio::select! {
            report = reports.recv() => {
                let Some(report) = report else { return std::future::pending().await };
                sink.send(Message::text(report)).await?;
                continue;
            }
            message = tokio::time::timeout(SILENCE_MAX, stream.next()) => message?.ok_or("the socket has ended")??,
        };
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap_or_default();
        match message["type"].as_str() {
            Some("position") => {
                context.count_positions(&group.name, message["verdict"].as_str().unwrap_or_default(), 1);
            }
            Some("problem") => context.count_positions(&group.name, "refused", 1),
            _ => {
                listener.received(&message);
                forward(&message, offers);
            }
        }
        if let Some(seq) = message["seq"].as_i64() {
            *last_id = seq.to_string();
        }
    }
}
