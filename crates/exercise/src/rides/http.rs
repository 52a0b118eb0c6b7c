//! HTTP/1.1 as far as the proxy needs it: one request with its body, one response, and the end of the connection.

use std::fmt::Write;

use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Result;

/// The longest head and the longest body of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 64 << 10;

const CHUNK_BYTES: usize = 4 << 10;

/// Headers that are about one connection, or that the next one sets anew.
const PER_CONNECTION: [&str; 7] =
    ["host", "connection", "keep-alive", "content-length", "transfer-encoding", "expect", "accept-encoding"];

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the bearer token. The scheme has any case, as the service takes it.
    pub fn token(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// Returns the path without the query.
    pub fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Returns the headers that are passed on.
    pub fn passed(&self) -> impl Iterator<Item = &(String, String)> {
        self.headers.iter().filter(|(name, _)| !is_per_connection(name))
    }
}

fn is_per_connection(name: &str) -> bool {
    PER_CONNECTION.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Reads a request; `None` if the client closes the connection without one.
///
/// # Errors
/// It is malformed, too long, or its body has no length. The client gets a response that says so.
pub(super) async fn read(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Option<Request>> {
    let (mut bytes, mut chunk) = (Vec::<u8>::new(), vec![0; CHUNK_BYTES]);
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at;
        }
        let count = client.read(&mut chunk).await?;
        if count == 0 || bytes.len() > HEAD_BYTES_MAX {
            return if bytes.is_empty() { Ok(None) } else { Err("the head of a request is incomplete".into()) };
        }
        bytes.extend_from_slice(&chunk[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut body = bytes.split_off(head_end + 4);
    let Some(mut request) = parse(&head) else { return refuse(client, "400 Bad Request").await };
    if request.header("transfer-encoding").is_some() {
        return refuse(client, "411 Length Required").await;
    }
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    if length > BODY_BYTES_MAX {
        return refuse(client, "413 Content Too Large").await;
    }
    if request.header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    while body.len() < length {
        match client.read(&mut chunk).await? {
            0 => return Err("the body of a request is incomplete".into()),
            count => body.extend_from_slice(&chunk[..count]),
        }
    }
    body.truncate(length);
    request.body = body;
    Ok(Some(request))
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let method = Method::from_bytes(words.next()?.as_bytes()).ok()?;
    let path = words.next().filter(|path| path.starts_with('/'))?.to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
    Some(Request { method, path, headers, body: Vec::new() })
}

async fn refuse<T>(client: &mut (impl AsyncWrite + Unpin), status: &str) -> Result<T> {
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(response.as_bytes()).await?;
    Err(format!("a request was refused: {status}").into())
}

/// Returns the bytes of a response after which the connection ends.
pub(super) fn response(status: reqwest::StatusCode, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in headers.iter().filter(|(name, _)| !is_per_connection(name.as_str())) {
        let _infallible = write!(head, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let _infallible = write!(head, "content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(parts: &[&[u8]]) -> Result<Option<Request>> {
        let (mut client, mut server) = tokio::io::duplex(1 << 20);
        for part in parts {
            client.write_all(part).await.expect("written");
        }
        client.shutdown().await.expect("closed");
        read(&mut server).await
    }

    #[tokio::test]
    async fn request_is_read_with_its_body_and_only_its_body() {
        let head = b"POST /v1/trips HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\nIdempotency-Key: k\r\n\r\nab";
        let request = read_all(&[&head[..], b"cdef"]).await.expect("read").expect("a request");
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/trips"));
        assert_eq!(request.body, b"abcd");
        let passed: Vec<&str> = request.passed().map(|(name, _)| name.as_str()).collect();
        assert_eq!(passed, ["Idempotency-Key"]);
    }

    #[tokio::test]
    async fn neither_the_case_of_the_scheme_nor_a_query_hides_a_booking() {
        for line in ["Authorization: Bearer abc", "authorization: bearer  abc "] {
            let bytes = format!("POST /v1/trips?again=1 HTTP/1.1\r\n{line}\r\n\r\n");
            let request = read_all(&[bytes.as_bytes()]).await.expect("read").expect("a request");
            assert_eq!((request.token(), request.route()), (Some("abc"), "/v1/trips"));
            assert_eq!(request.path, "/v1/trips?again=1", "it is passed on as it is");
        }
        let other = read_all(&[&b"GET / HTTP/1.1\r\nAuthorization: Basic abc\r\n\r\n"[..]]).await.expect("read");
        assert_eq!(other.expect("a request").token(), None);
    }

    #[tokio::test]
    async fn malformed_requests_are_errors_and_no_request_is_none() {
        assert!(read_all(&[]).await.expect("read").is_none());
        for bytes in [
            &b"POST /"[..],
            b"nonsense\r\n\r\n",
            b"GET /x HTTP/1.1\r\nno colon\r\n\r\n",
            b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"POST /x HTTP/1.1\r\ncontent-length: 9999999\r\n\r\n",
            b"POST /x HTTP/1.1\r\ncontent-length: 9\r\n\r\nshort",
        ] {
            assert!(read_all(&[bytes]).await.is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
