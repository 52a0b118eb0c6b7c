//! The proxy between the candidate's client and the service. It loses answers after the work was done, doubles requests, and delays
//! answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use launcher::clock::Stopwatch;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::api::{Api, Caller};
use super::faults::{Fault, fault};
use super::http::{self, Request};
use crate::Result;

/// How late a late answer is.
const LATE: Duration = Duration::from_millis(1_500);

/// Timeout of the service's answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A lost answer of a booking is noticed when the ride is over, or after this time.
const LOSS_NOTICED_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(200);

/// The proxy. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct LossyProxy {
    pub url: String,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    api: Api,
    http: Client,
    /// The riders' numbers by token.
    riders: BTreeMap<String, usize>,
    /// The attempts of a rider at a path so far.
    attempts: Mutex<BTreeMap<(usize, String), u32>>,
    struck: Mutex<BTreeMap<Fault, u32>>,
}

/// A response of the service.
struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl LossyProxy {
    /// Opens a proxy in front of the service.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(seed: u64, api: &Api, riders: &[Caller]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let numbers = riders.iter().zip(1..).map(|(rider, number)| (rider.token.clone(), number));
        let shared = Arc::new(Shared {
            seed,
            api: api.clone(),
            http: launcher::http_client().timeout(ANSWERS_WITHIN).build()?,
            riders: numbers.collect(),
            attempts: Mutex::default(),
            struck: Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { url, shared, _accepting: accepting })
    }

    /// Returns how often it struck.
    pub fn struck(&self) -> BTreeMap<Fault, u32> {
        self.shared.struck.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // The client sees an error as the end of the connection.
            let _ended = shared.serve(client).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        let Some(request) = http::read(&mut client).await? else { return Ok(()) };
        let fault = self.next_fault(&request);
        let mut response = self.forward(&request).await?;
        match fault {
            Some(Fault::Lost) => {
                self.wait_for_the_end(&request, &response).await;
                return Ok(());
            }
            Some(Fault::Doubled) => response = self.forward(&request).await?,
            Some(Fault::Late) => tokio::time::sleep(LATE).await,
            None => {}
        }
        client.write_all(&http::response(response.status, &response.headers, &response.body)).await?;
        Ok(client.shutdown().await?)
    }

    /// Counts the attempt, and decides what happens to it.
    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let rider = *self.riders.get(request.token()?)?;
        if request.method != Method::POST {
            return None;
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry((rider, request.route().to_owned())).or_default();
        let fault = fault(self.seed, rider, request.route(), *attempt);
        *attempt += 1;
        let fault = fault?;
        *self.struck.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, request: &Request) -> Result<Response> {
        let mut sent = self.http.request(request.method.clone(), format!("{}{}", self.api.base_url, request.path));
        for (name, value) in request.passed() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        let response = sent.body(request.body.clone()).send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Response { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// Waits until the ride that was booked is over: a client without a key can then book another one.
    async fn wait_for_the_end(&self, request: &Request, response: &Response) {
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let (Some(id), Some(token)) = (body["id"].as_str(), request.token()) else { return };
        if request.route() != "/v1/trips" || response.status != StatusCode::CREATED {
            return;
        }
        let (path, waited) = (format!("/v1/trips/{id}"), Stopwatch::start());
        while waited.elapsed() < LOSS_NOTICED_WITHIN {
            let is_over = self.api.get(&path, token).await.is_ok_and(|trip| trip["ended_at"].is_string());
            if is_over {
                return;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}
