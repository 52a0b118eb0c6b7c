//! The demo: the whole stack on this machine, and a banner with the first steps.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::BoxError;
use crate::cli::sandbox::Demo;
use crate::local::{Options, PSP_SECRET_KEY, Stack};

/// The probability that an idle driver of the city follows a hint.
const REPOSITION: f64 = 0.5;

/// The price elasticity of the city's riders: the middle of 0.4 to 0.6, as measured on Uber's data by Cohen, P. et al. (2016), *Using
/// Big Data to Estimate Consumer Surplus: The Case of Uber*, NBER working paper 22627.
const PRICE_ELASTICITY: f64 = 0.5;

/// Runs the demo until it is interrupted.
///
/// # Errors
/// If a process does not start.
pub async fn run(options: Demo, program: PathBuf) -> Result<ExitCode, BoxError> {
    let data_dir = match options.data_dir {
        Some(dir) => dir,
        None => embedded_postgres::default_data_dir()?,
    };
    eprintln!("ridematch: starting, with data in {}", data_dir.display());
    let mut terminate = signal(SignalKind::terminate())?;
    let stack = Stack::start(Options {
        program,
        data_dir: Some(data_dir),
        database_url: options.database_url,
        listen: Some(options.listen),
        partner_listen: options.partner_listen,
        time_scale: options.time_scale,
        rate_limit: options.rate_limit,
        environment: Vec::new(),
        streets: options.streets,
        labs: std::path::absolute("target/lab").ok(),
    });
    let stack = tokio::select! {
        stack = stack => stack?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    let tokens = Tokens::create(&stack.base_url).await?;
    let text = if options.json { json_line(&stack, &tokens) } else { banner(&stack, &tokens) };
    crate::print(&(text + "\n"))?;
    let city = city::Drive {
        base_url: stack.base_url.clone(),
        drivers: options.drivers,
        seed: 1,
        reactions: city::Reactions { reposition: REPOSITION, price_elasticity: PRICE_ELASTICITY },
    };
    tokio::select! {
        end = city::drive(&city), if options.drivers > 0 => end?,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("ridematch: stopping");
    stack.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// A token for each role.
#[derive(Debug, Serialize)]
struct Tokens {
    rider: String,
    driver: String,
    gateway: String,
    ops: String,
}

impl Tokens {
    async fn create(base_url: &str) -> Result<Self, BoxError> {
        Ok(Self {
            rider: token(base_url, "rider").await?,
            driver: token(base_url, "driver").await?,
            gateway: token(base_url, "gateway").await?,
            ops: token(base_url, "ops").await?,
        })
    }
}

/// The output for scripts.
fn json_line(stack: &Stack, tokens: &Tokens) -> String {
    json!({
        "base_url": stack.base_url,
        "console_url": format!("{}/", stack.base_url),
        "docs_url": format!("{}/docs/", stack.base_url),
        "openapi_url": format!("{}/openapi.json", stack.base_url),
        "provider": {"url": stack.provider_url, "secret_key": PSP_SECRET_KEY},
        "log": stack.log,
        "tokens": tokens,
    })
    .to_string()
}

/// The output for people. Its lines work in bash, zsh and fish.
fn banner(stack: &Stack, tokens: &Tokens) -> String {
    let base = &stack.base_url;
    let Tokens { rider, driver, gateway, ops } = tokens;
    format!(
        r#"
ridematch is ready.

  console           {base}/
  rehearsal         {base}/rehearse
  API explorer      {base}/docs/
  OpenAPI document  {base}/openapi.json
  error pages       {base}/problems
  metrics           {base}/metrics
  service log       {log}
  payment provider  {provider}   (secret key: {PSP_SECRET_KEY})

A token for each role, valid for a day:

export RIDER={rider}
export DRIVER={driver}
export GATEWAY={gateway}
export OPS={ops}

First requests: nearby drivers, a quote, the audit:

curl -s "{base}/v1/drivers/nearby?lat={lat}&lon={lon}" -H "Authorization: Bearer $RIDER"
curl -s {base}/v1/quotes -H "Authorization: Bearer $RIDER" -H 'Content-Type: application/json' -d '{quote}'
curl -s {base}/v1/ops/audit -H "Authorization: Bearer $OPS"

A fault of the payment provider: the next capture succeeds, and its response is lost:

curl -s -u {PSP_SECRET_KEY}: {provider}/sim/faults -X PUT -d '{fault}'

More scenarios, from the source tree: a no-show, a refund, a duplicate webhook:

cargo trigger --list

Ctrl-C stops everything. docs/tour.md takes you through one ride."#,
        log = stack.log.display(),
        provider = stack.provider_url,
        fault = json!({"faults": [{"on": "capture", "kind": "reset_after", "times": 1}]}),
        lat = city::CENTER.lat,
        lon = city::CENTER.lon,
        quote = json!({
            "pickup": {"lat": city::CENTER.lat, "lon": city::CENTER.lon},
            "dropoff": {"lat": city::CENTER.lat + 0.01, "lon": city::CENTER.lon + 0.01},
        }),
    )
}

async fn token(base_url: &str, role: &str) -> Result<String, BoxError> {
    let client = launcher::http_client().build()?;
    let response = client.post(format!("{base_url}/v1/sandbox/tokens")).json(&json!({"role": role})).send();
    let body: Value = response.await?.error_for_status()?.json().await?;
    Ok(body["token"].as_str().ok_or("the response has no token")?.to_owned())
}
