//! A map as the console's page keeps it: sends its view and acknowledgements, and applies frames.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::App;
use crate::harness::socket::{Message, Socket};

/// A driver on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    pub lat: f64,
    pub lon: f64,
    pub activity: u8,
}

pub struct Map {
    pub socket: Socket,
    pub dots: BTreeMap<u32, Dot>,
    /// The last world received.
    pub world: Value,
    /// The last answer to a question.
    pub answer: Value,
    pub received: u64,
}

impl Map {
    /// Connects a map whose view reaches half a degree to each side of a position.
    pub async fn at(app: &App, (lat, lon): (f64, f64)) -> Self {
        let socket = Socket::open(&app.base_url, "/v1/sandbox/live", "").await.expect("a connection");
        let mut map = Self { socket, dots: BTreeMap::new(), world: Value::Null, answer: Value::Null, received: 0 };
        map.look((lat, lon)).await;
        map
    }

    pub async fn look(&mut self, (lat, lon): (f64, f64)) {
        let view = json!({"south": lat - 0.5, "west": lon - 0.5, "north": lat + 0.5, "east": lon + 0.5});
        self.socket.send_json(&json!({"view": view})).await;
    }

    /// Reads one message, applies and acknowledges it.
    pub async fn read(&mut self) {
        let message = self.socket.next().await;
        self.take(message);
        self.socket.send_json(&json!({"ack": self.received})).await;
    }

    /// Applies a message.
    pub fn take(&mut self, message: Message) {
        self.received += 1;
        match message {
            Message::Binary(frame) => self.apply(&frame),
            Message::Text(text) if text["type"] == "world" => self.world = text,
            Message::Text(text) => self.answer = text,
            Message::Pong(_) => panic!("nothing was pinged"),
            Message::Close(code) => panic!("the connection was closed with {code}"),
        }
    }

    /// Reads until `look` returns a value.
    pub async fn until<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        for _ in 0..100 {
            if let Some(found) = look(self) {
                return found;
            }
            self.read().await;
        }
        panic!("100 messages without: {what}: {:?} {:#}", self.dots, self.world);
    }

    /// Sends a question and returns the answer.
    pub async fn ask(&mut self, question: Value) -> Value {
        self.answer = Value::Null;
        self.socket.send_json(&question).await;
        self.until("there is an answer", |map| Some(map.answer.clone()).filter(Value::is_object)).await
    }

    /// Returns the only driver, once exactly one is on the map.
    pub async fn only(&mut self) -> (u32, Dot) {
        self.until("one driver is there", |map| match map.dots.len() {
            1 => map.dots.iter().next().map(|(handle, dot)| (*handle, *dot)),
            _ => None,
        })
        .await
    }

    fn apply(&mut self, frame: &[u8]) {
        let long = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap());
        let short = |at: usize| f64::from(u16::from_le_bytes(frame[at..at + 2].try_into().unwrap())) / 65_535.0;
        let edge = |nth: usize| f64::from_le_bytes(frame[16 + 8 * nth..24 + 8 * nth].try_into().unwrap());
        let (n, m) = (long(4) as usize, long(8) as usize);
        let (south, west, north, east) = (edge(0), edge(1), edge(2), edge(3));
        let xs = 48 + 4 * (n + m);
        if frame[0] == 1 {
            self.dots.clear();
        }
        for i in 0..n {
            let (x, y) = (short(xs + 2 * i), short(xs + 2 * n + 2 * i));
            let dot = Dot {
                lat: south + (north - south) * y,
                lon: west + (east - west) * x,
                activity: frame[xs + 4 * n + i],
            };
            self.dots.insert(long(48 + 4 * i), dot);
        }
        for i in n..n + m {
            self.dots.remove(&long(48 + 4 * i));
        }
    }
}
