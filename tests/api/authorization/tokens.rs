//! Valid and invalid tokens. The algorithm in a token's header is never trusted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use ridematch::platform::auth::TokenKey;
use ridematch::platform::clock::Clock;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::harness::{Actor, ApiResponse, App, JWT_SECRET};

/// `{"alg":"none","typ":"JWT"}` and `{"alg":"None"}` in base 64.
const NONE: [&str; 2] = ["eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0", "eyJhbGciOiJOb25lIn0"];

/// Key pairs for these tests only.
const ED25519: (&str, &str) = (include_str!("ed25519.pem"), include_str!("ed25519.pub.pem"));
const RSA: (&str, &str) = (include_str!("rsa.pem"), include_str!("rsa.pub.pem"));

fn secret(text: &str) -> EncodingKey {
    EncodingKey::from_secret(text.as_bytes())
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encode(&json!(Header::new(algorithm))), encode(claims));
    let mac = |hash| hmac::sign(&hmac::Key::new(hash, key.as_bytes()), message.as_bytes()).as_ref().to_vec();
    let signature = match algorithm {
        Algorithm::HS256 => mac(hmac::HMAC_SHA256),
        Algorithm::HS512 => mac(hmac::HMAC_SHA512),
        Algorithm::EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes()).unwrap();
            pair.sign(message.as_bytes()).as_ref().to_vec()
        }
        Algorithm::RS256 => {
            let pair = RsaKeyPair::from_der(key.as_bytes()).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
            signature
        }
        other => panic!("the tests do not sign with {other:?}"),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn in_an_hour() -> i64 {
    Clock::system().machine().utc().timestamp() + 3_600
}

fn claims(actor: &Actor) -> Value {
    json!({"sub": actor.id, "role": "rider", "exp": in_an_hour()})
}

/// Valid claims with one of them replaced, or removed if `value` is null.
fn with(actor: &Actor, name: &str, value: Value) -> Value {
    let mut claims = claims(actor);
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// Invalid `Authorization` headers, each with a description.
pub async fn bad_headers(app: &App) -> Vec<(&'static str, HeaderValue)> {
    let rider = app.rider().await;
    let hs256 = |claims: &Value| sign(Algorithm::HS256, &secret(JWT_SECRET), claims);
    let good = hs256(&claims(&rider));
    let [header, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let other = hs256(&with(&rider, "role", "ops".into()));
    let other_body = other.split('.').nth(1).unwrap();
    let driver_id = app.actor("driver").await.id;
    let tokens = [
        ("nothing", String::new()),
        ("no token", "nonsense".to_owned()),
        ("no claims", hs256(&json!({}))),
        ("a token that has expired", hs256(&with(&rider, "exp", (in_an_hour() - 3_601).into()))),
        ("an expiry of zero", hs256(&with(&rider, "exp", 0.into()))),
        ("no expiry", hs256(&with(&rider, "exp", Value::Null))),
        ("an expiry that is not a number", hs256(&with(&rider, "exp", "never".into()))),
        ("an expiry out of range", hs256(&with(&rider, "exp", 1e30.into()))),
        ("no subject", hs256(&with(&rider, "sub", Value::Null))),
        ("a subject of another role", hs256(&with(&rider, "sub", driver_id.into()))),
        ("a role that is not the subject's", hs256(&with(&rider, "role", "ops".into()))),
        ("a malformed subject", hs256(&with(&rider, "sub", "rdr_nonsense".into()))),
        ("no role", hs256(&with(&rider, "role", Value::Null))),
        ("an unknown role", hs256(&with(&rider, "role", "root".into()))),
        ("two roles", hs256(&with(&rider, "role", json!(["rider", "ops"])))),
        ("another secret", sign(Algorithm::HS256, &secret("another secret, of at least 32 bytes"), &claims(&rider))),
        ("the empty secret", sign(Algorithm::HS256, &secret(""), &claims(&rider))),
        ("the right secret, another algorithm", sign(Algorithm::HS512, &secret(JWT_SECRET), &claims(&rider))),
        ("a signature by some key pair", sign(Algorithm::EdDSA, &ed25519(), &claims(&rider))),
        ("algorithm none", format!("{}.{body}.", NONE[0])),
        ("algorithm none, no last dot", format!("{}.{body}", NONE[0])),
        ("algorithm None", format!("{}.{body}.", NONE[1])),
        ("algorithm none, a signature of another token", format!("{}.{body}.{signature}", NONE[0])),
        ("no signature", format!("{header}.{body}.")),
        ("half a signature", format!("{header}.{body}.{}", &signature[..20])),
        ("other claims under the signature", format!("{header}.{other_body}.{signature}")),
        ("four segments", format!("{good}.{signature}")),
        ("two tokens", format!("{good} {good}")),
    ];
    let bearer = tokens.into_iter().map(|(what, token)| (what, format!("Bearer {token}")));
    let others = [
        ("another scheme", format!("Basic {good}")),
        ("no scheme", good.clone()),
        ("the scheme alone", "Bearer".to_owned()),
        ("non-ASCII characters", format!("Bearer {good}\u{e9}")),
    ];
    bearer.chain(others).map(|(what, header)| (what, HeaderValue::from_bytes(header.as_bytes()).unwrap())).collect()
}

fn ed25519() -> EncodingKey {
    EncodingKey::from_ed_pem(ED25519.0.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn externally_issued_token_with_the_right_secret_is_accepted() {
    let app = App::start().await;
    let rider = app.rider().await;
    let token = sign(Algorithm::HS256, &secret(JWT_SECRET), &claims(&rider));
    let rider = Actor { token, ..rider };
    rider.get("/v1/trips").await.expect(200);
    // The scheme's name is not case-sensitive (RFC 9110, 11.1).
    let lower = app.http.get(app.url("/v1/trips")).header("Authorization", format!("bearer {}", rider.token));
    ApiResponse::of(lower).await.expect(200);
}

/// Asserts that a public key verifies only signatures of its algorithm, and cannot serve as a shared secret.
async fn only_the_private_key_signs(key: TokenKey, (algorithm, private): (Algorithm, EncodingKey), public: &str) {
    let app = App::start().await;
    let service = app.second_process(|config| (config.jwt_secret, config.jwt_public_key) = (None, Some(key))).await;
    let rider = app.rider().await.at(&service);
    rider.get("/v1/trips").await.expect_problem(401, "unauthenticated");
    let good = Actor { token: sign(algorithm, &private, &claims(&rider)), ..rider.clone() };
    good.get("/v1/trips").await.expect(200);
    for known in [public, public.trim(), JWT_SECRET] {
        let token = sign(Algorithm::HS256, &secret(known), &claims(&rider));
        Actor { token, ..rider.clone() }.get("/v1/trips").await.expect_problem(401, "unauthenticated");
    }
    // The sandbox cannot issue tokens without a secret.
    rider.post_unkeyed("/v1/sandbox/tokens", &json!({"role": "ops"})).await.expect_problem(503, "unavailable");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_signed_with_the_ed25519_public_key_is_401() {
    let key = TokenKey::Ed25519(ED25519.1.to_owned());
    only_the_private_key_signs(key, (Algorithm::EdDSA, ed25519()), ED25519.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_signed_with_the_rsa_public_key_is_401() {
    let private = EncodingKey::from_rsa_pem(RSA.0.as_bytes()).unwrap();
    only_the_private_key_signs(TokenKey::Rsa(RSA.1.to_owned()), (Algorithm::RS256, private), RSA.1).await;
}
