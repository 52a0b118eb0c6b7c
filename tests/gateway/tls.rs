//! HTTPS: who is trusted, and what becomes of a call to somebody who is not. He must not see the request, so it was not sent.

use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::egress::Roots;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::bad_days::INTENT;
use crate::harness::{PSP_SECRET, database};
use crate::server::{Fate, serve};
use crate::{done, gateway, not_sent, provider};

/// A certificate authority that nobody knows.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, in a PEM file.
    pub fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0.pem()).unwrap();
        file
    }

    /// What a server of this name shows its clients.
    pub fn server(&self, name: &str) -> TlsAcceptor {
        self.server_until(name, 2999)
    }

    fn server_until(&self, name: &str, year: i32) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
    }
}

struct TlsServer {
    base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// A provider on localhost; its books are empty, and it knows one intent.
    async fn start(acceptor: TlsAcceptor) -> Self {
        let fate = |request: &str| match request.starts_with("GET /v1/payment_intents/pi_1 ") {
            true => Fate::json(200, INTENT),
            false => Fate::json(200, r#"{"data": [], "has_more": false}"#),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, fate) = (Arc::clone(&requests), Arc::new(fate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared, fate) = (acceptor.clone(), Arc::clone(&shared), Arc::clone(&fate));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared, fate).await;
                    }
                });
            }
        });
        Self { base_url, requests }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn trusting(base_url: &str, authority: &Authority) -> ProviderConfig {
    let roots = Roots::read(authority.file().path().to_str().unwrap()).unwrap();
    ProviderConfig { roots: Some(roots), ..provider(base_url) }
}

#[tokio::test]
async fn a_private_authority_is_trusted_once_its_file_is_named() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server("localhost")).await;
    let (gateway, _) = gateway(&trusting(&server.base_url, &authority));
    assert_eq!(done(gateway.intent("pi_1").await).id, "pi_1");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn whoever_cannot_prove_his_name_sees_no_request() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (what, acceptor) in [
        ("an authority that nobody knows", theirs.server("localhost")),
        ("another's name", ours.server("api.stripe.com")),
        ("a certificate that has run out", ours.server_until("localhost", 2001)),
    ] {
        let server = TlsServer::start(acceptor).await;
        let (gateway, _) = gateway(&trusting(&server.base_url, &ours));
        let why = not_sent(gateway.confirm("pi_1", "key").await);
        assert!(why.contains("certificate"), "{what}: {why}");
        assert_eq!(server.count(), 0, "{what}");
    }
}

#[tokio::test]
async fn the_systems_roots_are_not_forgotten_for_ours_nor_everybody_trusted() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server("localhost")).await;
    let (gateway, _) = gateway(&provider(&server.base_url));
    assert!(not_sent(gateway.intent("pi_1").await).contains("UnknownIssuer"));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn whoever_does_not_speak_tls_sees_no_request() {
    let plain = crate::server::Server::always(Fate::json(200, INTENT)).await;
    let (gateway, _) = gateway(&provider(&plain.base_url.replace("http://", "https://")));
    not_sent(gateway.confirm("pi_1", "key").await);
    // He may have taken our greeting for a request; there was no key in it.
    assert!(!plain.requests().concat().contains(PSP_SECRET));
}

#[tokio::test]
async fn a_handshake_without_end_is_a_connection_that_was_not_made() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let config = ProviderConfig { connect_timeout_ms: 200, timeout_ms: 5_000, ..provider(&base_url) };
    let (gateway, _) = gateway(&config);
    let answer = tokio::time::timeout(Duration::from_secs(4), gateway.confirm("pi_1", "key")).await;
    not_sent(answer.expect("the time-out of the connection is the shorter one"));
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_trusts_the_systems_roots_and_the_file_beside_them() {
    let authority = Authority::new();
    let (database, file) = (database().await, authority.file());
    let server = TlsServer::start(authority.server("localhost")).await;
    // The system's roots, as far as the program knows, are in the file that this variable names.
    for (variable, code, seen) in
        [("NOTHING", 1, "unchecked"), ("SSL_CERT_FILE", 0, "clean"), ("PSP_CA_FILE", 0, "clean")]
    {
        let before = server.count();
        let Output { status, stdout, .. } = Command::new(env!("CARGO_BIN_EXE_ridematch"))
            .args(["audit", "--database-url", &database.url(), "--psp-base-url", &server.base_url])
            .env_clear()
            .env("PSP_SECRET_KEY", PSP_SECRET)
            .env(variable, file.path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(stdout).unwrap();
        assert!(status.code() == Some(code) && said.contains(seen), "{variable}: {said}");
        assert_eq!(server.count() > before, code == 0, "{variable}");
    }
}
