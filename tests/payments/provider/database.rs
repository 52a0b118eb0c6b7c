//! TLS to PostgreSQL by the `sslmode` of DATABASE_URL. The test server has no TLS, so a proxy terminates it.

use launcher::{Connection, Proxy, Target};
use reqwest::Url;
use ridematch::platform::db::Db;
use ridematch::platform::error::Result;
use ridematch::platform::wake::WakeHub;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio_rustls::TlsAcceptor;

use crate::harness::database;
use crate::provider::tls::Authority;

/// PostgreSQL's SSLRequest: the length 8, and a code that is no protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Starts the proxy. Returns the database's URL through it, without a query.
async fn behind_tls(database_url: &str, acceptor: Option<TlsAcceptor>) -> String {
    let proxy = Proxy::open(move |connection| serve(connection, acceptor.clone())).await.unwrap();
    proxy.set_target(Some(Target::of_database(database_url).unwrap()));
    let mut url: Url = database_url.parse().unwrap();
    url.set_host(Some("localhost")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    url.set_query(None);
    url.to_string()
}

async fn serve(connection: Connection, acceptor: Option<TlsAcceptor>) {
    let Connection { mut client, mut server, .. } = connection;
    let mut request = [0; 8];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request, SSL_REQUEST, "every tested mode begins with it");
    let Some(acceptor) = acceptor else {
        let _refused = client.write_all(b"N").await;
        return;
    };
    client.write_all(b"S").await.unwrap();
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let _end = copy_bidirectional(&mut client, &mut server).await;
}

async fn answers(url: &str) -> Result<i32> {
    let db = Db::open(url, 1, WakeHub::default()).unwrap();
    let one =
        db.read((), |conn, ()| Box::pin(async move { Ok(sqlx::query_scalar("select 1").fetch_one(conn).await?) }));
    one.await
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_decides_how_the_database_is_verified() {
    let database = database().await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (our_file, their_file) = (ours.file(), theirs.file());
    let (our_root, their_root) = (our_file.path().display(), their_file.path().display());
    let url = behind_tls(&database.url(), Some(ours.server("localhost"))).await;
    for good in ["sslmode=require".to_owned(), format!("sslmode=verify-full&sslrootcert={our_root}")] {
        assert_eq!(answers(&format!("{url}?{good}")).await.unwrap(), 1, "{good}");
    }
    for bad in ["sslmode=verify-full".to_owned(), format!("sslmode=verify-full&sslrootcert={their_root}")] {
        let error = answers(&format!("{url}?{bad}")).await.expect_err(&bad).to_string();
        assert!(error.contains("certificate"), "{bad}: {error}");
    }
    let misnamed = behind_tls(&database.url(), Some(ours.server("db.example.org"))).await;
    let url = format!("{misnamed}?sslmode=verify-full&sslrootcert={our_root}");
    assert!(answers(&url).await.expect_err("another name").to_string().contains("certificate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn database_without_tls_is_refused_when_tls_is_required() {
    let database = database().await;
    let url = behind_tls(&database.url(), None).await;
    let error = answers(&format!("{url}?sslmode=require")).await.expect_err("no TLS").to_string();
    assert!(error.to_lowercase().contains("tls"), "{error}");
}
