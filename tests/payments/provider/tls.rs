//! HTTPS: which servers are trusted. A call to an untrusted one is not sent: the server must not see the request.

use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::egress::Roots;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::process::program;
use crate::harness::{PSP_SECRET, database};
use crate::provider::faults::INTENT;
use crate::provider::server::{Reply, serve};
use crate::provider::{client_of, done, not_sent, provider};

/// A private certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns its certificate in a PEM file.
    pub fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0.pem()).unwrap();
        file
    }

    /// Returns the TLS configuration of a server with this name.
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
    /// A provider on localhost with one intent.
    async fn start(acceptor: TlsAcceptor) -> Self {
        let reply = |request: &str| match request.starts_with("GET /v1/payment_intents/pi_1 ") {
            true => Reply::json(200, INTENT),
            false => Reply::json(200, r#"{"data": [], "has_more": false}"#),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, reply) = (Arc::clone(&requests), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared, reply) = (acceptor.clone(), Arc::clone(&shared), Arc::clone(&reply));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared, reply).await;
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
async fn private_authority_is_trusted_when_configured() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server("localhost")).await;
    let (client, _) = client_of(&trusting(&server.base_url, &authority));
    assert_eq!(done(client.intent("pi_1").await).id, "pi_1");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn untrusted_server_gets_no_request() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for (what, acceptor) in [
        ("an unknown authority", theirs.server("localhost")),
        ("another name", ours.server("api.stripe.com")),
        ("an expired certificate", ours.server_until("localhost", 2001)),
    ] {
        let server = TlsServer::start(acceptor).await;
        let (client, _) = client_of(&trusting(&server.base_url, &ours));
        let why = not_sent(client.confirm("pi_1", "key").await);
        assert!(why.contains("certificate"), "{what}: {why}");
        assert_eq!(server.count(), 0, "{what}");
    }
}

#[tokio::test]
async fn unknown_authority_is_not_trusted_by_default() {
    let authority = Authority::new();
    let server = TlsServer::start(authority.server("localhost")).await;
    let (client, _) = client_of(&provider(&server.base_url));
    assert!(not_sent(client.intent("pi_1").await).contains("UnknownIssuer"));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn plain_server_gets_no_request_over_https() {
    let plain = crate::provider::server::Server::always(Reply::json(200, INTENT)).await;
    let (client, _) = client_of(&provider(&plain.base_url.replace("http://", "https://")));
    not_sent(client.confirm("pi_1", "key").await);
    // The server may take the TLS greeting for a request; it has no key.
    assert!(!plain.requests().concat().contains(PSP_SECRET));
}

#[tokio::test]
async fn endless_handshake_is_not_sent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let config = ProviderConfig { connect_timeout_ms: 200, timeout_ms: 5_000, ..provider(&base_url) };
    let (client, _) = client_of(&config);
    let answer = tokio::time::timeout(Duration::from_secs(4), client.confirm("pi_1", "key")).await;
    not_sent(answer.expect("the connect time-out is shorter"));
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn program_trusts_system_roots_and_the_configured_file() {
    let authority = Authority::new();
    let (database, file) = (database().await, authority.file());
    let server = TlsServer::start(authority.server("localhost")).await;
    // This variable replaces the file of the system's roots.
    for (variable, code, result) in
        [("NOTHING", 1, "unchecked"), ("SSL_CERT_FILE", 0, "clean"), ("PSP_CA_FILE", 0, "clean")]
    {
        let before = server.count();
        let Output { status, stdout, .. } =
            program(&["audit", "--database-url", &database.url(), "--psp-base-url", &server.base_url])
                .env("PSP_SECRET_KEY", PSP_SECRET)
                .env(variable, file.path())
                .output()
                .await
                .unwrap();
        let stdout_text = String::from_utf8(stdout).unwrap();
        assert!(status.code() == Some(code) && stdout_text.contains(result), "{variable}: {stdout_text}");
        assert_eq!(server.count() > before, code == 0, "{variable}");
    }
}
