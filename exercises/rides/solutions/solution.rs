//! Books rides through a lossy network: the same request with the same key, until there is an answer.
//!
//! Standard library only, so HTTP and the ids in JSON are read by hand. Time: as many requests as bookings and lost answers, 16 at a
//! time. Memory O(bookings).

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

const ATTEMPTS_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
const WORKERS: usize = 16;

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

/// Sends the same request until there is an answer, and returns the id in its body.
fn post(path: &str, token: &str, key: &str, body: &str) -> Result<String, String> {
    for attempt in 0..ATTEMPTS_MAX {
        match send(path, token, key, body) {
            Ok((200..=299, body)) => {
                return text(&body, "id").map(str::to_owned).ok_or_else(|| format!("{path}: no id in {body}"));
            }
            // Overload and limits pass, and so does a conflict with our own first attempt that still runs.
            Ok((status, body)) => {
                let is_temporary = status >= 500 || status == 429 || text(&body, "code") == Some("request_in_progress");
                if !is_temporary {
                    return Err(format!("{path}: {status} {body}"));
                }
            }
            // No answer, or half of one. The service may have done the work: only the same key is safe.
            Err(_) => {}
        }
        thread::sleep(PAUSE * 2_u32.pow(attempt));
    }
    Err(format!("{path}: no answer after {ATTEMPTS_MAX} attempts"))
}

/// Books one ride. Returns its line of the output.
fn book(line: &str, tokens: &[&str]) -> Result<String, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let number: usize = words[0].parse().map_err(|_| format!("no number: {line}"))?;
    let token = tokens[number - 1];
    // A quote twice costs nothing: it is not a ride yet. It needs no key, and ignores one.
    let quote = post("/v1/quotes", token, &format!("quote-{number}"), &quote_body(&words[1..]))?;
    // The key belongs to the booking. The body of every attempt is the same too: one quote.
    let body = format!(r#"{{"quote_id": "{quote}", "payment_method": "pm_card_visa"}}"#);
    let ride = post("/v1/trips", token, &format!("booking-{number}"), &body)?;
    Ok(format!("{number} {ride}"))
}

fn main() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).expect("the bookings");
    let tokens = env::var("RIDES_TOKENS").expect("RIDES_TOKENS");
    let tokens: Vec<&str> = tokens.split(' ').collect();
    let lines = Mutex::new(input.lines());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    // A statement of its own, so that the lock is not held while the ride is booked.
                    let line = lines.lock().expect("no thread panics with the lock").next();
                    let Some(line) = line else { return };
                    match book(line, &tokens) {
                        Ok(booked) => println!("{booked}"),
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
    });
}
