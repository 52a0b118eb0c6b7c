//! The secrets of a webhook endpoint: each is shown once, on purpose, and stays where that answer is kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Told, World};
use crate::harness::{Answer, id};

impl World {
    /// An endpoint is registered, gets another secret, and is deleted. Gives the secrets that were shown.
    pub async fn endpoint_comes_and_goes(&self, told: &mut Told) -> [String; 2] {
        let ops = self.service.actor("ops").await;
        let secret = |answer: &Value| answer["secret"].as_str().unwrap().to_owned();
        let wanted = json!({"url": "https://example.com/webhooks", "event_types": ["refund.failed"]});
        let endpoint = ops.post("/v1/ops/webhook_endpoints", &wanted).await.expect(201);
        let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
        let rotated = ops.post(&format!("{path}/rotate_secret"), &json!({})).await.expect(200);
        told.note(ops.get(&path).await);
        told.note(ops.get("/v1/ops/webhook_endpoints").await);
        let shown = [secret(&endpoint), secret(&rotated)];
        let rows = self.rows().await;
        for text in shown.iter().map(|secret| secret.strip_prefix("whsec_").unwrap()) {
            let bytes = hex::encode(STANDARD.decode(text).unwrap());
            assert!(rows.contains(&bytes), "what signs is in the endpoint's row until that is deleted");
            told.tokens.extend([text.to_owned(), bytes]);
        }
        Answer::of(ops.request(Method::DELETE, &path)).await.expect(204);
        told.note(ops.get(&path).await);
        told.tokens.push(ops.token);
        shown
    }
}

/// The rows without these secrets, each of which has to stand in one stored answer and nowhere else.
pub fn but_for_answers(rows: String, secrets: &[String]) -> String {
    secrets.iter().fold(rows, |rows, secret| {
        let holders: Vec<&str> = rows.lines().filter(|row| row.contains(secret.as_str())).collect();
        assert!(holders.len() == 1 && holders[0].starts_with("idempotency_keys "), "{holders:#?}");
        rows.replace(secret.as_str(), "an endpoint's secret")
    })
}
