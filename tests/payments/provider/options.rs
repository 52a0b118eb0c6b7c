//! Invalid options of the provider: one line on stderr, and exit code 2.

use std::iter::zip;
use std::process::Output;

use crate::harness::process::program;
use crate::harness::{JWT_SECRET, WEBHOOK_SECRET, at_once};

/// Returns the exit code and stderr of `serve` with these variables in a valid configuration.
async fn run_with(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = program(&["serve"]);
    command
        .env("DATABASE_URL", "postgres://user@127.0.0.1:1/nothing")
        .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
        .env("RIDEMATCH_LOG", "off")
        .env("PSP_BASE_URL", "https://127.0.0.1:1")
        .env("PSP_SECRET_KEY", "sk_live_secret")
        .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .envs(variables.iter().copied());
    let Output { status, stderr, .. } = command.output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn invalid_option_is_one_line_with_its_name_and_no_secret() {
    let nonsense = tempfile::NamedTempFile::new().unwrap();
    let nonsense = nonsense.path().to_str().unwrap();
    for (variables, option) in [
        (&[("PSP_BASE_URL", "http://api.stripe.com")][..], "--psp-base-url"),
        (&[("PSP_BASE_URL", "http://10.0.0.1:12111"), ("PSP_ALLOW_HTTP", "false")], "--psp-base-url"),
        (&[("PSP_BASE_URL", "https://user:sk_live_secret@api.stripe.com")], "--psp-base-url"),
        (&[("PSP_BASE_URL", "api.stripe.com")], "--psp-base-url"),
        (&[("PSP_SECRET_KEY", "")], "--psp-secret-key"),
        (&[("PSP_SECRET_KEY", "sk_live_secret\n")], "--psp-secret-key"),
        (&[("PSP_WEBHOOK_SECRET", "")], "--psp-webhook-secret"),
        (&[("PSP_CA_FILE", "/nonexistent")], "--psp-ca-file"),
        (&[("PSP_CA_FILE", nonsense)], "--psp-ca-file"),
        (&[("PSP_TIMEOUT_MS", "499")], "--psp-timeout-ms"),
        // A longer call could outlast its lease.
        (&[("PSP_TIMEOUT_MS", "25001")], "--psp-timeout-ms"),
        (&[("PSP_CONNECT_TIMEOUT_MS", "0")], "--psp-connect-timeout-ms"),
        (&[("PSP_CONNECT_TIMEOUT_MS", "3000"), ("PSP_TIMEOUT_MS", "2000")], "--psp-connect-timeout-ms"),
    ] {
        let (code, stderr_text) = run_with(variables).await;
        assert_eq!((code, stderr_text.trim_end().lines().count()), (Some(2), 1), "{variables:?}: {stderr_text}");
        assert!(
            stderr_text.contains(option) && !stderr_text.contains("sk_live_secret"),
            "{variables:?}: {stderr_text}"
        );
    }
}

#[tokio::test]
async fn http_is_allowed_for_localhost_or_by_option() {
    let valid = [
        &[("PSP_BASE_URL", "http://127.0.0.1:12111")][..],
        &[("PSP_BASE_URL", "http://localhost:12111")],
        &[("PSP_BASE_URL", "http://10.0.0.1:12111"), ("PSP_ALLOW_HTTP", "true")],
        &[("PSP_TIMEOUT_MS", "25000"), ("PSP_CONNECT_TIMEOUT_MS", "10000")],
    ];
    // Each fails at the missing database, after a while.
    for (variables, (code, stderr_text)) in zip(valid, at_once(valid.map(run_with)).await) {
        assert_eq!(code, Some(1), "{variables:?}: {stderr_text}");
    }
}
