//! Somebody who listens to the webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit, Mac};
use psp_sim::Webhook;
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub const SECRET: &str = "whsec_test";

/// Somebody who listens, and answers with the status that is set.
pub struct Receiver {
    pub url: String,
    heard: UnboundedReceiver<Delivery>,
    pub status: Arc<AtomicU16>,
}

#[derive(Debug)]
pub struct Delivery {
    pub signature: String,
    pub payload: String,
}

impl Delivery {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }

    pub fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// Checks the signature as the protocol's description has it, and returns its time stamp, if it is right.
    pub fn stamp(&self) -> Option<i64> {
        let (stamp, signature) = self.signature.split_once(',').unwrap();
        let stamp = stamp.strip_prefix("t=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{stamp}.{}", self.payload).as_bytes());
        let right = mac.verify_slice(&hex::decode(signature.strip_prefix("v1=").unwrap()).unwrap()).is_ok();
        right.then(|| stamp.parse().unwrap())
    }

    /// The time stamp of a delivery that has to be well signed.
    pub fn verified(&self) -> i64 {
        self.stamp().expect("wrongly signed")
    }
}

struct Ear {
    tell: UnboundedSender<Delivery>,
    status: Arc<AtomicU16>,
}

async fn hear(ear: web::Data<Ear>, request: HttpRequest, payload: String) -> HttpResponse {
    let signature = request.headers().get("stripe-signature").unwrap().to_str().unwrap().to_owned();
    // Before anybody hears of it: whoever does may set another status, for the next one.
    let status = StatusCode::from_u16(ear.status.load(Ordering::SeqCst)).unwrap();
    let _ = ear.tell.send(Delivery { signature, payload });
    HttpResponse::new(status)
}

impl Receiver {
    pub fn start() -> Self {
        let (tell, heard) = unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let ear = web::Data::new(Ear { tell, status: Arc::clone(&status) });
        let server = HttpServer::new(move || App::new().app_data(ear.clone()).default_service(web::to(hear)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}/webhooks", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, heard, status }
    }

    pub fn webhook(&self) -> Webhook {
        Webhook { url: self.url.clone(), secret: SECRET.to_owned() }
    }

    pub async fn hear(&mut self) -> Delivery {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.heard.recv()).await;
        heard.expect("nothing was delivered").unwrap()
    }
}
