//! Receives the provider's events in the service's place, so that a test delivers them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use ridematch::platform::clock::Clock;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::post_signed_event;
use crate::harness::breakpoint::provider::read_message;
use crate::harness::{App, WEBHOOK_SECRET, new_key, until};

/// An event signed by the provider.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: String,
    /// `pi_…`
    pub intent: String,
    signature: String,
    body: String,
}

impl Event {
    fn read(request: &[u8]) -> Self {
        let request = String::from_utf8(request.to_vec()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("stripe-signature").then(|| value.trim().to_owned())
        };
        let event: Value = serde_json::from_str(body).unwrap();
        let object = &event["data"]["object"];
        let intent = if object["object"] == "payment_intent" { &object["id"] } else { &object["payment_intent"] };
        Self {
            kind: event["type"].as_str().unwrap().to_owned(),
            intent: intent.as_str().unwrap().to_owned(),
            signature: head.lines().find_map(header).unwrap(),
            body: body.to_owned(),
        }
    }

    /// Returns the same event about another intent, with a new id and signature.
    pub fn about_intent(&self, intent: &str) -> Self {
        let mut event: Value = serde_json::from_str(&self.body.replace(&self.intent, intent)).unwrap();
        event["id"] = format!("evt_{}", new_key()).into();
        let body = event.to_string();
        let signature = psp_sim::signature(WEBHOOK_SECRET, Clock::system().machine().utc().timestamp(), &body);
        Self { kind: self.kind.clone(), intent: intent.to_owned(), signature, body }
    }

    /// Returns the same event with a new id and signature.
    pub fn repeated(&self) -> Self {
        self.about_intent(&self.intent)
    }

    /// Posts it to the service, which accepts it.
    pub async fn deliver(&self, app: &App) {
        post_signed_event(app, &self.body, Some(&self.signature)).await.expect(200);
    }
}

/// The events that the provider has sent so far.
pub struct EventCatcher {
    pub address: SocketAddr,
    events: Arc<Mutex<Vec<Event>>>,
}

impl EventCatcher {
    pub async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let caught = Arc::clone(&events);
        tokio::spawn(async move {
            while let Ok((sender, _)) = listener.accept().await {
                tokio::spawn(receive(sender, Arc::clone(&caught)));
            }
        });
        Self { address, events }
    }

    /// Returns the events about `intent`, once these kinds have arrived.
    pub async fn about(&self, intent: &str, kinds: &[&str]) -> Vec<Event> {
        until(&format!("the provider has sent {kinds:?}"), async || {
            let mut events = self.events.lock().unwrap().clone();
            events.retain(|event| event.intent == intent);
            let mut missing = kinds.to_vec();
            for event in &events {
                if let Some(found) = missing.iter().position(|kind| *kind == event.kind) {
                    missing.remove(found);
                }
            }
            missing.is_empty().then_some(events)
        })
        .await
    }
}

async fn receive(mut sender: TcpStream, caught: Arc<Mutex<Vec<Event>>>) {
    while let Ok(request) = read_message(&mut sender).await {
        caught.lock().unwrap().push(Event::read(&request));
        if sender.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
