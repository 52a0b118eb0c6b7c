//! The demo in a shell whose variables point elsewhere: proxies, options of libpq, settings of another service, locales.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::process::{RECOVERED_WITHIN, program};
use crate::harness::{Actor, ApiResponse, HERE, THERE, free_address, until};

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Variables that a shell may have, none of them for the demo.
const FOREIGN: &[(&str, &str)] = &[
    ("http_proxy", NOWHERE),
    ("HTTP_PROXY", NOWHERE),
    ("https_proxy", NOWHERE),
    ("HTTPS_PROXY", NOWHERE),
    ("all_proxy", NOWHERE),
    ("ALL_PROXY", NOWHERE),
    ("PGHOST", "192.0.2.1"),
    ("PGHOSTADDR", "192.0.2.1"),
    ("PGPORT", "9"),
    ("PGUSER", "other"),
    ("PGPASSWORD", "other"),
    ("PGPASSFILE", "/nonexistent"),
    ("PGDATABASE", "other"),
    ("PGDATA", "/nonexistent"),
    ("PGAPPNAME", "other"),
    ("PGSERVICE", "other"),
    ("PGOPTIONS", "-c search_path=other -c default_transaction_read_only=on"),
    ("PGSSLMODE", "verify-full"),
    ("PGSSLROOTCERT", "/nonexistent"),
    ("PGTZ", "Asia/Tokyo"),
    ("DATABASE_URL", "postgres://other@192.0.2.1/other"),
    ("RIDEMATCH_TEST_DATABASE_URL", "postgres://other@192.0.2.1/other"),
    ("RIDEMATCH_LISTEN", "192.0.2.1:1"),
    ("RIDEMATCH_ADMIN_LISTEN", "192.0.2.1:1"),
    ("RIDEMATCH_JWT_PUBLIC_KEY", "/nonexistent"),
    ("RIDEMATCH_JWT_AUDIENCE", "other"),
    ("RIDEMATCH_RATE_LIMIT", "1"),
    ("RIDEMATCH_POOL_MAX", "2"),
    ("PSP_BASE_URL", "https://192.0.2.1"),
    ("PSP_CA_FILE", "/nonexistent"),
    ("PSP_WEBHOOK_URL", "http://192.0.2.1"),
    ("PSP_TIMEOUT_MS", "500"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("LANG", "xx_XX"),
    ("TZ", "Pacific/Kiritimati"),
    ("RUST_LOG", "trace"),
    ("CDPATH", "/nonexistent"),
    ("ENV", "/nonexistent"),
    ("TERM", "none"),
];

/// Variables of the tests' own shell that the demo does read.
const NEEDED: [&str; 3] = ["PATH", "HOME", "RIDEMATCH_POSTGRES_BIN"];

#[tokio::test(flavor = "multi_thread")]
async fn demo_ignores_variables_that_are_not_for_it() {
    let data_dir = tempfile::tempdir().unwrap();
    // As root, another account runs the private PostgreSQL.
    std::fs::set_permissions(data_dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (listen, dir) = (free_address().to_string(), data_dir.path().to_string_lossy());
    let mut demo = program(&["demo", "--listen", &listen, "--data-dir", &dir, "--drivers", "5", "--json"])
        .envs(NEEDED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(FOREIGN.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(RECOVERED_WITHIN, lines.next_line()).await.expect("the demo starts").unwrap();
    let Some(first) = first else {
        let output = demo.wait_with_output().await.unwrap();
        panic!("the demo ended: {}", String::from_utf8_lossy(&output.stderr));
    };
    let shown: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(shown["base_url"], format!("http://{listen}"));

    let http = launcher::http_client().build().unwrap();
    let base_url = format!("http://{listen}");
    let issue = http.post(format!("{base_url}/v1/sandbox/tokens")).json(&json!({"role": "rider"}));
    let issued = ApiResponse::of(issue).await.expect(201);
    let text = |member: &str| issued[member].as_str().unwrap().to_owned();
    let rider = Actor { http, base_url, token: text("token"), id: text("subject") };
    // Written to the demo's own database, and paid by its own provider.
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let trip = rider.post("/v1/trips", &body).await.expect(201);
    let path = format!("/v1/trips/{}", trip["id"].as_str().unwrap());
    let state = until("the provider has answered", async || {
        let state = rider.get(&path).await.expect(200)["state"].clone();
        (state != "requested").then_some(state)
    })
    .await;
    assert_ne!(state, "payment_failed");
    // The city reaches the service.
    until("cars are on the road", async || {
        let metrics = rider.get("/metrics").await.text();
        (!metrics.contains("ridematch_drivers{state=\"online\"} 0")).then_some(())
    })
    .await;
    let terminated = Command::new("kill").args(["-TERM", &demo.id().unwrap().to_string()]).status().await;
    assert!(terminated.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(60), demo.wait()).await.expect("the demo stops").unwrap();
    assert_eq!(status.code(), Some(0));
}
