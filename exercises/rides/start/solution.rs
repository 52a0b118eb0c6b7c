//! Books the rides that statement.md describes: one request after the other, and nothing is repeated.
//!
//! Standard library only, so HTTP and the ids in JSON are read by hand.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends one request, and returns the status and the body of the answer. An answer without an end is an error.
fn send(path: &str, token: &str, key: &str, body: &str) -> io::Result<(u16, String)> {
    let url = env::var("RIDES_URL").expect("RIDES_URL");
    let address = url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((status, body.to_owned()))
}

/// Returns a text of a JSON object by its name. Enough for ids, which contain no quotation mark: the standard library has no JSON.
fn text<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let after = body.split_once(&format!("\"{name}\":\""))?.1;
    after.split('"').next()
}

/// Returns the body of the request for a quote.
fn quote_body(places: &[&str]) -> String {
    let [lat, lon, to_lat, to_lon] = places else { panic!("four numbers") };
    format!(r#"{{"pickup": {{"lat": {lat}, "lon": {lon}}}, "dropoff": {{"lat": {to_lat}, "lon": {to_lon}}}}}"#)
}

fn main() -> io::Result<()> {
    let tokens = env::var("RIDES_TOKENS").expect("RIDES_TOKENS");
    let tokens: Vec<&str> = tokens.split(' ').collect();
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let number: usize = words[0].parse().expect("a number");
        let (_status, body) = send("/v1/quotes", tokens[number - 1], "none yet", &quote_body(&words[1..]))?;
        println!("{number} {} is a quote and not a ride yet", text(&body, "id").unwrap_or("nothing"));
    }
    Ok(())
}
