//! A subscriber of the service's webhooks: answers as the load says, checks signatures, and records every delivery.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use launcher::BoxError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::load::model::{SubscriberAnswer, SubscriberSpec};
use crate::load::recording::DeliveryRecord;
use crate::load::{Call, Caller, Context};

/// The longest body of a delivery.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a delivery may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// Length of a block of SHA-256.
const BLOCK: usize = 64;

/// A subscriber that listens.
#[derive(Debug)]
pub(super) struct Subscriber {
    context: Arc<Context>,
    spec: SubscriberSpec,
    /// The secrets of the endpoints, in their order.
    secrets: Vec<String>,
    random: Mutex<StdRng>,
}

impl Subscriber {
    /// Listens, registers its endpoints, and answers until the task is stopped.
    ///
    /// # Errors
    /// If no port is free, or the service refuses an endpoint.
    pub async fn start(
        context: &Arc<Context>,
        spec: &SubscriberSpec,
        tasks: &mut JoinSet<Result<(), BoxError>>,
    ) -> Result<(), BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let mut operator = Caller::new(context, "subscriber", 0, "ops").await?;
        let types = if spec.event_types.is_empty() { vec!["*".to_owned()] } else { spec.event_types.clone() };
        let mut secrets = Vec::new();
        for number in 0..spec.endpoints {
            let body = json!({"url": format!("{base_url}/{number}"), "event_types": types});
            let call =
                Call { key: Some(operator.new_key()), ..Call::new("POST /v1/ops/webhook_endpoints", "").body(body) };
            let endpoint = operator.send(&call).await;
            if !endpoint.is_success() {
                return Err(format!("the service refuses the subscriber: {} {}", endpoint.status, endpoint.body).into());
            }
            secrets.push(endpoint.text("secret").to_owned());
        }
        let random = Mutex::new(StdRng::seed_from_u64(context.target.seed));
        let subscriber = Arc::new(Self { context: Arc::clone(context), spec: spec.clone(), secrets, random });
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await?;
                let subscriber = Arc::clone(&subscriber);
                connections.spawn(async move { subscriber.serve(connection).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(())
    }

    /// Receives one delivery, records it and answers.
    async fn serve(&self, connection: TcpStream) -> Result<(), BoxError> {
        let mut connection = BufReader::new(connection);
        let delivery = tokio::time::timeout(ARRIVES_WITHIN, Delivery::read(&mut connection)).await??;
        let answer = self.answer();
        let status = match &answer {
            None => 200,
            Some(SubscriberAnswer::Status(status) | SubscriberAnswer::Body(status, _)) => *status,
            Some(_) => 0,
        };
        let record = self.record(&delivery, status);
        self.context.recording().deliveries.push(record);
        tokio::time::sleep(Duration::from_millis(self.spec.answer_after_ms)).await;
        let response = match answer {
            None => head(200, ""),
            Some(SubscriberAnswer::Status(status)) => head(status, ""),
            Some(SubscriberAnswer::Body(status, text)) => head(status, &text),
            Some(SubscriberAnswer::Raw(text)) => text,
            Some(SubscriberAnswer::Close) => return Ok(()),
            Some(SubscriberAnswer::Hang(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                return Ok(());
            }
        };
        connection.get_mut().write_all(response.as_bytes()).await?;
        Ok(connection.get_mut().shutdown().await?)
    }

    /// The answer of the first fault that strikes now; `None`: 200.
    fn answer(&self) -> Option<SubscriberAnswer> {
        let now_s = self.context.now_s();
        let end_s = if self.context.is_over() { 0.0 } else { f64::INFINITY };
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let draw: f64 = random.random_range(0.0..1.0);
        let strikes = |fault: &&crate::load::model::SubscriberFault| {
            now_s >= fault.from_s && now_s < fault.until_s.unwrap_or(end_s).min(end_s) && draw < fault.share
        };
        self.spec.faults.iter().find(strikes).map(|fault| fault.answer.clone())
    }

    fn record(&self, delivery: &Delivery, status: u16) -> DeliveryRecord {
        let event: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        let data = &event["data"];
        let kind = event["type"].as_str().unwrap_or_default();
        let object = match kind.split('.').next() {
            Some("refund") => &data["refund_id"],
            Some("payment") => &data["payment_id"],
            _ => &data["trip_id"],
        };
        let endpoint: u32 = delivery.path.trim_start_matches('/').parse().unwrap_or(u32::MAX);
        let secret = self.secrets.get(endpoint as usize).map_or("", String::as_str);
        DeliveryRecord {
            at_s: self.context.now_s(),
            endpoint,
            event_id: event["id"].as_str().unwrap_or_default().to_owned(),
            event: kind.to_owned(),
            object: object.as_str().unwrap_or_default().to_owned(),
            state: data["state"].as_str().unwrap_or_default().to_owned(),
            status,
            signed: delivery.is_signed_with(secret),
        }
    }
}

/// A response. The service opens a connection for each delivery.
fn head(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Drill\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A received request.
#[derive(Debug, Default)]
struct Delivery {
    path: String,
    id: String,
    timestamp: String,
    signatures: String,
    body: Vec<u8>,
}

impl Delivery {
    async fn read(connection: &mut BufReader<TcpStream>) -> Result<Self, BoxError> {
        let (mut delivery, mut line, mut length) = (Self::default(), String::new(), 0);
        connection.read_line(&mut line).await?;
        line.split(' ').nth(1).unwrap_or_default().clone_into(&mut delivery.path);
        loop {
            line.clear();
            if connection.read_line(&mut line).await? == 0 || line.trim_end().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "webhook-id" => value.clone_into(&mut delivery.id),
                "webhook-timestamp" => value.clone_into(&mut delivery.timestamp),
                "webhook-signature" => value.clone_into(&mut delivery.signatures),
                _ => {}
            }
        }
        if length > BODY_BYTES_MAX {
            return Err("too long a delivery".into());
        }
        delivery.body.resize(length, 0);
        connection.read_exact(&mut delivery.body).await?;
        Ok(delivery)
    }

    /// Whether one of its signatures is made with this secret, after Standard Webhooks.
    fn is_signed_with(&self, secret: &str) -> bool {
        let Ok(key) = STANDARD.decode(secret.trim_start_matches("whsec_")) else { return false };
        let mut message = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        message.extend_from_slice(&self.body);
        let signature = format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &message)));
        self.signatures.split(' ').any(|given| given == signature)
    }
}

/// HMAC-SHA256 (RFC 2104), for keys of at most one block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; BLOCK];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_rfc_4231() {
        let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
