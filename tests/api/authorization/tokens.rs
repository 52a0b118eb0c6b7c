//! Valid and invalid tokens, by the letter of RFC 7515 and RFC 7519. The algorithm in a token's header is never trusted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use ridematch::platform::auth::TokenKey;
use ridematch::platform::clock::Clock;
use ridematch::platform::config::Config;
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
    let header = json!(Header::new(algorithm));
    sign_text(algorithm, key, &header.to_string(), &claims.to_string())
}

/// Signs any header and payload.
fn sign_text(algorithm: Algorithm, key: &EncodingKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
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
    now_s() as i64 + 3_600
}

fn now_s() -> f64 {
    Clock::system().machine().utc().timestamp_millis() as f64 / 1e3
}

/// Signs with the service's secret.
fn hs256(header: &str, payload: &str) -> String {
    sign_text(Algorithm::HS256, &secret(JWT_SECRET), header, payload)
}

const HS256: &str = r#"{"alg":"HS256"}"#;

/// Members of a header that make a token invalid, each with a description.
const BAD_HEADERS: [(&str, &str); 9] = [
    ("a critical extension that is a claim", r#""crit":["exp"]"#),
    ("a critical extension that is in the header", r#""crit":["b64"],"b64":true"#),
    ("an empty list of critical extensions", r#""crit":[]"#),
    ("null as the list of critical extensions", r#""crit":null"#),
    ("claims that are not in base 64", r#""b64":false"#),
    ("a token as the content", r#""cty":"JWT""#),
    ("another type", r#""typ":"logout+jwt""#),
    ("a type that is not a text", r#""typ":1"#),
    ("a type twice", r#""typ":"JWT","typ":"JWT""#),
];

/// Claims besides the required ones that make a token invalid, each with a description. The service has no issuer and no audience.
fn bad_claims() -> Vec<(&'static str, String)> {
    let later = in_an_hour();
    vec![
        ("a start in the future", format!(r#""nbf":{later}"#)),
        ("a start in the future with a fraction", format!(r#""nbf":{later}.75"#)),
        ("a start that is not a number", format!(r#""nbf":"{}""#, later - 7_200)),
        ("null as the start", r#""nbf":null"#.to_owned()),
        ("a time of issue that is not a number", r#""iat":"now""#.to_owned()),
        ("an issuer that is not a text", r#""iss":1"#.to_owned()),
        ("an id that is not a text", r#""jti":1"#.to_owned()),
        ("an audience", r#""aud":"other""#.to_owned()),
        ("several audiences", r#""aud":["other","another"]"#.to_owned()),
        ("an audience that is not a text", r#""aud":1"#.to_owned()),
        ("a second subject", r#""sub":"rdr_01h455vb4pex5vsknk084sn02q""#.to_owned()),
        ("a second expiry", format!(r#""exp":{later}"#)),
    ]
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
    let signed = |claims: &Value| sign(Algorithm::HS256, &secret(JWT_SECRET), claims);
    let good = signed(&claims(&rider));
    let text = claims(&rider).to_string();
    let [header, body, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let other = signed(&with(&rider, "role", "ops".into()));
    let other_body = other.split('.').nth(1).unwrap();
    let driver_id = app.actor("driver").await.id;
    let tokens = [
        ("nothing", String::new()),
        ("no token", "nonsense".to_owned()),
        ("no claims", signed(&json!({}))),
        ("a token that has expired", signed(&with(&rider, "exp", (in_an_hour() - 3_601).into()))),
        ("a token that expired half a second ago", signed(&with(&rider, "exp", (now_s() - 0.5).into()))),
        ("an expiry of zero", signed(&with(&rider, "exp", 0.into()))),
        ("no expiry", signed(&with(&rider, "exp", Value::Null))),
        ("an expiry that is not a number", signed(&with(&rider, "exp", "never".into()))),
        ("an expiry in a text", signed(&with(&rider, "exp", in_an_hour().to_string().into()))),
        ("an expiry out of range", signed(&with(&rider, "exp", 1e30.into()))),
        ("no subject", signed(&with(&rider, "sub", Value::Null))),
        ("a subject of another role", signed(&with(&rider, "sub", driver_id.into()))),
        ("a role that is not the subject's", signed(&with(&rider, "role", "ops".into()))),
        ("a malformed subject", signed(&with(&rider, "sub", "rdr_nonsense".into()))),
        ("no role", signed(&with(&rider, "role", Value::Null))),
        ("an unknown role", signed(&with(&rider, "role", "root".into()))),
        ("two roles", signed(&with(&rider, "role", json!(["rider", "ops"])))),
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
        ("an array of claims", hs256(HS256, &format!(r#"["{}","rider",{}]"#, rider.id, in_an_hour()))),
    ];
    let by_header = BAD_HEADERS.map(|(what, members)| (what, hs256(&format!(r#"{{"alg":"HS256",{members}}}"#), &text)));
    let by_claims = bad_claims()
        .into_iter()
        .map(|(what, members)| (what, hs256(HS256, &format!("{},{members}}}", text.trim_end_matches('}')))));
    let bearer =
        tokens.into_iter().chain(by_header).chain(by_claims).map(|(what, token)| (what, format!("Bearer {token}")));
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

#[tokio::test(flavor = "multi_thread")]
async fn token_with_any_valid_form_of_the_standard_members_is_accepted() {
    let app = App::start().await;
    let rider = app.rider().await;
    let (id, later) = (&rider.id, in_an_hour());
    let payload = |members: &str| format!(r#"{{"sub":"{id}","role":"rider",{members}}}"#);
    let good = payload(&format!(r#""exp":{later}"#));
    let headers = [
        r#""typ":"jwt""#,
        r#""typ":"application/at+jwt""#,
        r#""typ":"JOSE""#,
        r#""kid":"7","x5t":"x","b64":true,"unknown":{"a":1}"#,
    ];
    let by_header = headers.map(|members| hs256(&format!(r#"{{"alg":"HS256",{members}}}"#), &good));
    let claims = [
        format!(r#""exp":{later}.25"#),
        format!(r#""exp":{later}.0"#),
        r#""exp":2.5e11"#.to_owned(),
        format!(r#""exp":{later},"nbf":{}.5,"iat":{}"#, later - 3_700, later - 3_700),
        // Within the leeway for the issuer's clock.
        format!(r#""exp":{later},"nbf":{}"#, now_s() + 2.0),
        format!(r#""exp":{later},"iss":"https://id.example","jti":"1","scope":"all""#),
    ];
    let by_claims = claims.map(|members| hs256(HS256, &payload(&members)));
    for token in by_header.into_iter().chain(by_claims) {
        let answer = Actor { token: token.clone(), ..rider.clone() }.get("/v1/trips").await;
        assert_eq!(answer.status, 200, "{token}: {:#}", answer.json());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_without_the_configured_issuer_and_audience_is_401() {
    let app = App::start().await;
    let configure = |config: &mut Config| {
        (config.jwt_issuer, config.jwt_audience) = (Some("https://id.example".into()), Some("rides".into()));
    };
    let service = app.second_process(configure).await;
    let rider = app.rider().await.at(&service);
    let with = |members: Value| {
        let mut claims = claims(&rider);
        claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Actor { token: sign(Algorithm::HS256, &secret(JWT_SECRET), &claims), ..rider.clone() }
    };
    for audience in [json!("rides"), json!(["other", "rides"])] {
        with(json!({"iss": "https://id.example", "aud": audience})).get("/v1/trips").await.expect(200);
    }
    for refused in [
        json!({}),
        json!({"iss": "https://id.example"}),
        json!({"aud": "rides"}),
        json!({"iss": "https://other.example", "aud": "rides"}),
        json!({"iss": ["https://id.example"], "aud": "rides"}),
        json!({"iss": "https://id.example", "aud": "other"}),
        json!({"iss": "https://id.example", "aud": []}),
    ] {
        with(refused).get("/v1/trips").await.expect_problem(401, "unauthenticated");
    }
    // The sandbox issues tokens that are valid here.
    let issued = rider.post_unkeyed("/v1/sandbox/tokens", &json!({"role": "rider"})).await.expect(201);
    let issued = Actor { token: issued["token"].as_str().unwrap().to_owned(), ..rider.clone() };
    issued.get("/v1/trips").await.expect(200);
    service.stop().await;
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
