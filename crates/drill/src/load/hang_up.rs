//! A client that hangs up: it sends a request, and is gone before the response.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::caller::Call;

/// Sends a request over a connection of its own, and resets the connection after a time. By a reset the server learns that its client is
/// gone; a client that only closes may still read, so a server may go on.
pub(super) async fn reset_after(host: &str, request: &str, after: Duration) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(host).await?;
    connection.write_all(request.as_bytes()).await?;
    tokio::time::sleep(after).await;
    connection.set_zero_linger()
}

/// A request as HTTP/1.1.
pub(super) fn request_text(call: &Call, host: &str, token: &str) -> String {
    let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut headers = vec![format!("Host: {host}"), format!("Content-Length: {}", body.len())];
    headers.extend((!token.is_empty()).then(|| format!("Authorization: Bearer {token}")));
    headers.extend(call.key.as_ref().map(|key| format!("Idempotency-Key: {key}")));
    headers.extend(call.body.as_ref().map(|_| "Content-Type: application/json".to_owned()));
    format!("{} {} HTTP/1.1\r\n{}\r\n\r\n{body}", call.method(), call.path, headers.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn caller_who_hangs_up_sends_the_whole_request_and_resets_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let call = Call { key: Some("key-1".to_owned()), ..Call::new("POST /v1/trips", "").body(json!({ "a": 1 })) };
        let request = request_text(&call, &host, "token-1");
        for part in ["POST /v1/trips HTTP/1.1\r\n", "\r\nIdempotency-Key: key-1\r\n", "\r\n\r\n{\"a\":1}"] {
            assert!(request.contains(part), "{request}");
        }
        let server = async {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let mut received = vec![0; request.len()];
            connection.read_exact(&mut received).await.expect("the request");
            assert_eq!(received, request.as_bytes());
            connection.read(&mut received).await.expect_err("a reset").kind()
        };
        let (sent, end) = tokio::join!(reset_after(&host, &request, Duration::from_millis(5)), server);
        sent.expect("sent");
        assert_eq!(end, std::io::ErrorKind::ConnectionReset);
    }
}
