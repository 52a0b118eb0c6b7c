//! TLS to PostgreSQL, as `sslmode` in DATABASE_URL asks for it. The server of the tests speaks no TLS, so a proxy does
//! before it: it answers the request for encryption, and passes on what is behind it.

use std::net::Ipv4Addr;

use reqwest::Url;
use ridematch::platform::db::Db;
use ridematch::platform::error::Result;
use ridematch::platform::wake::Hub;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::{database, proxy::Target};
use crate::tls::Authority;

/// PostgreSQL's SSLRequest: a length of 8, and a code that is no version of the protocol.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Starts the proxy; returns the database's URL through it, to which a query can be added.
async fn behind_tls(database_url: &str, acceptor: Option<TlsAcceptor>) -> String {
    let mut url: Url = database_url.parse().unwrap();
    let target = Target::of(&url);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    url.set_host(Some("localhost")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    url.set_query(None);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, target.clone(), acceptor.clone()));
        }
    });
    url.to_string()
}

async fn serve(mut client: TcpStream, target: Target, acceptor: Option<TlsAcceptor>) {
    let mut request = [0; 8];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request, SSL_REQUEST, "every mode that was asked for begins like this");
    let Some(acceptor) = acceptor else {
        let _refused = client.write_all(b"N").await;
        return;
    };
    client.write_all(b"S").await.unwrap();
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let _end = match target {
        Target::Socket(path) => copy_bidirectional(&mut client, &mut UnixStream::connect(path).await.unwrap()).await,
        Target::Tcp(host, port) => {
            copy_bidirectional(&mut client, &mut TcpStream::connect((host, port)).await.unwrap()).await
        }
    };
}

async fn answers(url: &str) -> Result<i32> {
    let db = Db::open(url, 1, Hub::default()).unwrap();
    let one =
        db.read((), |conn, ()| Box::pin(async move { Ok(sqlx::query_scalar("select 1").fetch_one(conn).await?) }));
    one.await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_reached_by_tls_and_checked_as_far_as_was_asked() {
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
    assert!(answers(&url).await.expect_err("another's name").to_string().contains("certificate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_no_tls_is_no_server_where_tls_was_asked_for() {
    let database = database().await;
    let url = behind_tls(&database.url(), None).await;
    let error = answers(&format!("{url}?sslmode=require")).await.expect_err("no TLS").to_string();
    assert!(error.to_lowercase().contains("tls"), "{error}");
}
