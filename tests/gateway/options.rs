//! What an operator is told about the provider's options: one line, and exit code 2.

use std::iter::zip;
use std::process::Output;

use tokio::process::Command;

use crate::harness::{JWT_SECRET, WEBHOOK_SECRET, at_once};

/// What `serve` says to these variables, in a configuration that is sound otherwise.
async fn said_to(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ridematch"));
    command
        .arg("serve")
        .env_clear()
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
        .env("RIDEMATCH_LOG", "off")
        .env("PSP_BASE_URL", "https://127.0.0.1:1")
        .env("PSP_SECRET_KEY", "sk_live_secret")
        .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    let Output { status, stderr, .. } = command.output().await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn what_cannot_be_is_one_line_with_the_options_name_and_no_secret() {
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
        // Longer, and a call could outlast the lease that it is made under.
        (&[("PSP_TIMEOUT_MS", "25001")], "--psp-timeout-ms"),
        (&[("PSP_CONNECT_TIMEOUT_MS", "0")], "--psp-connect-timeout-ms"),
        (&[("PSP_CONNECT_TIMEOUT_MS", "3000"), ("PSP_TIMEOUT_MS", "2000")], "--psp-connect-timeout-ms"),
    ] {
        let (code, said) = said_to(variables).await;
        assert_eq!((code, said.trim_end().lines().count()), (Some(2), 1), "{variables:?}: {said}");
        assert!(said.contains(option) && !said.contains("sk_live_secret"), "{variables:?}: {said}");
    }
}

#[tokio::test]
async fn http_is_for_this_machine_unless_somebody_says_otherwise() {
    let sound = [
        &[("PSP_BASE_URL", "http://127.0.0.1:12111")][..],
        &[("PSP_BASE_URL", "http://localhost:12111")],
        &[("PSP_BASE_URL", "http://10.0.0.1:12111"), ("PSP_ALLOW_HTTP", "true")],
        &[("PSP_TIMEOUT_MS", "25000"), ("PSP_CONNECT_TIMEOUT_MS", "10000")],
    ];
    // Each comes as far as the database, and waits a while for one that is not there.
    for (variables, (code, said)) in zip(sound, at_once(sound.map(said_to)).await) {
        assert_eq!(code, Some(1), "{variables:?}: {said}");
    }
}
