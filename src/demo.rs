//! The demo: everything on this machine, and a banner that says where to begin.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::BoxError;
use crate::cli::Demo;
use crate::local::{Options, PSP_SECRET_KEY, Stack};

/// Runs the demo until it is interrupted.
///
/// # Errors
/// If something cannot be started.
pub async fn run(options: Demo, program: PathBuf) -> Result<ExitCode, BoxError> {
    let data_dir = match options.data_dir {
        Some(dir) => dir,
        None => embedded_postgres::default_data_dir()?,
    };
    eprintln!("ridematch: starting, with data in {}", data_dir.display());
    let mut terminate = signal(SignalKind::terminate())?;
    let name = program.display().to_string();
    let stack = Stack::start(Options {
        program,
        data_dir: Some(data_dir),
        database_url: options.database_url,
        listen: Some(options.listen),
        time_scale: options.time_scale,
    });
    let stack = tokio::select! {
        stack = stack => stack?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    println!("{}", banner(&stack, &name).await?);
    let city = city::Drive { base_url: stack.base_url.clone(), drivers: options.drivers, seed: 1 };
    tokio::select! {
        end = city::drive(&city), if options.drivers > 0 => end?,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("ridematch: stopping");
    stack.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn banner(stack: &Stack, program: &str) -> Result<String, BoxError> {
    let base = &stack.base_url;
    let (rider, driver) = (token(base, "rider").await?, token(base, "driver").await?);
    let (gateway, ops) = (token(base, "gateway").await?, token(base, "ops").await?);
    Ok(format!(
        r#"
ridematch is ready.

  the API, to explore   {base}/docs
  its document          {base}/openapi.json
  metrics               {base}/metrics
  the service's log     {log}
  the payment provider  {provider}   (its key: {PSP_SECRET_KEY})

A token for each role, good for a day:

export RIDER={rider}
export DRIVER={driver}
export GATEWAY={gateway}
export OPS={ops}

Three lines to begin with:

curl -s {base}/v1/drivers/nearby?lat={lat}\&lon={lon} -H "Authorization: Bearer $RIDER"
curl -s {base}/v1/quotes -H "Authorization: Bearer $RIDER" -H 'Content-Type: application/json' -d '{quote}'
curl -s {base}/v1/ops/audit -H "Authorization: Bearer $OPS"

And one to spoil the provider's day: the next capture is done, and its answer is lost.

curl -s -u {PSP_SECRET_KEY}: {provider}/sim/faults -X PUT -d '{fault}'

A driver who never comes, a refund, a webhook that comes twice:

{program} trigger --list

Ctrl-C stops everything. The README takes you through one ride."#,
        log = stack.log.display(),
        provider = stack.provider_url,
        fault = json!({"faults": [{"on": "capture", "kind": "reset_after", "times": 1}]}),
        lat = city::CENTRE.lat,
        lon = city::CENTRE.lon,
        quote = json!({
            "pickup": {"lat": city::CENTRE.lat, "lon": city::CENTRE.lon},
            "dropoff": {"lat": city::CENTRE.lat + 0.01, "lon": city::CENTRE.lon + 0.01},
        }),
    ))
}

async fn token(base_url: &str, role: &str) -> Result<String, BoxError> {
    let answer =
        reqwest::Client::new().post(format!("{base_url}/v1/sandbox/tokens")).json(&json!({"role": role})).send();
    let body: Value = answer.await?.error_for_status()?.json().await?;
    Ok(body["token"].as_str().ok_or("the service gave no token")?.to_owned())
}
