//! Where the provider's events go instead of to the service, to be delivered by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use ridematch::platform::clock::Clock;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::hold::provider::message;
use crate::harness::{Answer, App, WEBHOOK_SECRET, new_key, until};

/// An event, as the provider signed it.
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

    /// Another event that says the same of `intent`: with an id of its own, and signed anew.
    pub fn told_of(&self, intent: &str) -> Self {
        let mut event: Value = serde_json::from_str(&self.body.replace(&self.intent, intent)).unwrap();
        event["id"] = format!("evt_{}", new_key()).into();
        let body = event.to_string();
        let signature = psp_sim::signature(WEBHOOK_SECRET, Clock::system().machine().utc().timestamp(), &body);
        Self { kind: self.kind.clone(), intent: intent.to_owned(), signature, body }
    }

    /// The same, told again.
    pub fn anew(&self) -> Self {
        self.told_of(&self.intent)
    }

    /// Posts it to the service, which has to be content.
    pub async fn deliver(&self, app: &App) {
        let request = app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", &self.signature);
        let request = request.header("Content-Type", "application/json").body(self.body.clone());
        Answer::of(request).await.expect(200);
    }
}

/// Everything that the provider has sent so far.
pub struct Mailbox {
    pub address: SocketAddr,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Mailbox {
    pub async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&events);
        tokio::spawn(async move {
            while let Ok((sender, _)) = listener.accept().await {
                tokio::spawn(receive(sender, Arc::clone(&inbox)));
            }
        });
        Self { address, events }
    }

    /// The events about `intent`, once these have come.
    pub async fn about(&self, intent: &str, kinds: &[&str]) -> Vec<Event> {
        until(&format!("the provider has told of {kinds:?}"), async || {
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

async fn receive(mut sender: TcpStream, inbox: Arc<Mutex<Vec<Event>>>) {
    while let Ok(request) = message(&mut sender).await {
        inbox.lock().unwrap().push(Event::read(&request));
        if sender.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
