//! The secrets of webhook endpoints: each is shown once, in a response that is stored under its key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Responses, World};
use crate::harness::{ApiResponse, id};

impl World {
    /// Registers an endpoint, rotates its secret, and deletes it. Returns the secrets that were shown.
    pub async fn register_and_delete_endpoint(&self, responses: &mut Responses) -> [String; 2] {
        let ops = self.service.actor("ops").await;
        let secret = |response: &Value| response["secret"].as_str().unwrap().to_owned();
        let wanted = json!({"url": "https://example.com/webhooks", "event_types": ["refund.failed"]});
        let endpoint = ops.post("/v1/ops/webhook_endpoints", &wanted).await.expect(201);
        let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
        let rotated = ops.post(&format!("{path}/rotate_secret"), &json!({})).await.expect(200);
        responses.note(ops.get(&path).await);
        responses.note(ops.get("/v1/ops/webhook_endpoints").await);
        let shown = [secret(&endpoint), secret(&rotated)];
        let rows = self.rows().await;
        for text in shown.iter().map(|secret| secret.strip_prefix("whsec_").unwrap()) {
            let bytes = hex::encode(STANDARD.decode(text).unwrap());
            assert!(rows.contains(&bytes), "the endpoint's row contains its secrets until it is deleted");
            responses.tokens.extend([text.to_owned(), bytes]);
        }
        ApiResponse::of(ops.request(Method::DELETE, &path)).await.expect(204);
        responses.note(ops.get(&path).await);
        responses.tokens.push(ops.token);
        shown
    }
}

/// Removes these secrets from the rows. Each must be in one stored response and nowhere else.
pub fn without_stored_secrets(rows: String, secrets: &[String]) -> String {
    secrets.iter().fold(rows, |rows, secret| {
        let holders: Vec<&str> = rows.lines().filter(|row| row.contains(secret.as_str())).collect();
        assert!(holders.len() == 1 && holders[0].starts_with("idempotency_keys "), "{holders:#?}");
        rows.replace(secret.as_str(), "an endpoint's secret")
    })
}
