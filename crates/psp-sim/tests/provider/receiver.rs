//! A webhook receiver.

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

/// A webhook receiver that responds with a settable status.
pub struct Receiver {
    pub url: String,
    deliveries: UnboundedReceiver<Delivery>,
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

    /// The time stamp of the signature, if the signature is valid.
    pub fn stamp(&self) -> Option<i64> {
        let (stamp, signature) = self.signature.split_once(',').unwrap();
        let stamp = stamp.strip_prefix("t=").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{stamp}.{}", self.payload).as_bytes());
        let right = mac.verify_slice(&hex::decode(signature.strip_prefix("v1=").unwrap()).unwrap()).is_ok();
        right.then(|| stamp.parse().unwrap())
    }

    /// The time stamp of a delivery that must have a valid signature.
    pub fn verified(&self) -> i64 {
        self.stamp().expect("a valid signature")
    }
}

struct Endpoint {
    sender: UnboundedSender<Delivery>,
    status: Arc<AtomicU16>,
}

async fn receive(endpoint: web::Data<Endpoint>, request: HttpRequest, payload: String) -> HttpResponse {
    let signature = request.headers().get("stripe-signature").unwrap().to_str().unwrap().to_owned();
    // Read the status before the delivery is passed on: the test may then set the status of the next one.
    let status = StatusCode::from_u16(endpoint.status.load(Ordering::SeqCst)).unwrap();
    let _ = endpoint.sender.send(Delivery { signature, payload });
    HttpResponse::new(status)
}

impl Receiver {
    pub fn start() -> Self {
        let (sender, deliveries) = unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let endpoint = web::Data::new(Endpoint { sender, status: Arc::clone(&status) });
        let server = HttpServer::new(move || App::new().app_data(endpoint.clone()).default_service(web::to(receive)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}/webhooks", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, deliveries, status }
    }

    pub fn webhook(&self) -> Webhook {
        Webhook { url: self.url.clone(), secret: SECRET.to_owned() }
    }

    pub async fn next(&mut self) -> Delivery {
        let delivery = tokio::time::timeout(Duration::from_secs(20), self.deliveries.recv()).await;
        delivery.expect("nothing was delivered").unwrap()
    }
}
