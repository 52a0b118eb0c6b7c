//! What it remembers, however it ended.

use std::io::Write;

use psp_sim::{Error, Settings};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::sim::{MANUAL, Process, Reply, SECRET_KEY, Sim};

const INTENTS: &str = "/v1/payment_intents";

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let sim = Sim::start().await;
    let intents = [sim.http.create(MANUAL).await, sim.http.reserved().await, sim.http.captured().await];
    let canceled = sim.http.post_once("cancel", &format!("{INTENTS}/{}/cancel", intents[0]), &[]).await;
    sim.http.refund(&intents[2], "400").await;
    let paths = [INTENTS, "/v1/refunds"].map(str::to_owned);
    let mut before = Vec::new();
    for path in &paths {
        before.push(sim.http.get(path).await.text);
    }
    let books = sim.http.books().await;

    let sim = sim.restart().await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(sim.http.get(path).await.text, before);
    }
    assert_eq!(sim.http.books().await, books);
    let again = sim.http.post_once("cancel", &format!("{INTENTS}/{}/cancel", intents[0]), &[]).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &canceled.text));
    assert_eq!(sim.http.refund(&intents[2], "601").await.status, 400);
}

/// Callers who confirm one authorisation after the other, until the provider is gone. What each was told, by key.
async fn told_until_killed(process: Process, round: usize) -> Vec<(String, String, Reply)> {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (http, tell) = (process.http.clone(), tell.clone());
        callers.spawn(async move {
            for number in 0.. {
                let key = format!("{round} {caller} create {number}");
                let Ok(created) = http.try_post_once(&key, INTENTS, MANUAL).await else {
                    return;
                };
                let confirm = format!("{INTENTS}/{}/confirm", created.id());
                let _ = tell.send((key, INTENTS.to_owned(), created));
                let key = format!("{round} {caller} confirm {number}");
                let Ok(confirmed) = http.try_post_once(&key, &confirm, &[]).await else {
                    return;
                };
                let _ = tell.send((key, confirm, confirmed));
            }
        });
    }
    drop(tell);
    let mut all = Vec::new();
    while all.len() < 50 * round {
        all.push(told.recv().await.unwrap());
    }
    process.kill();
    while let Some(one) = told.recv().await {
        all.push(one);
    }
    callers.join_all().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_takes_nothing_back_that_anybody_was_told() {
    let data_dir = TempDir::new().unwrap();
    for round in 1..=5 {
        // Each round starts on the books that the last one left.
        let told = told_until_killed(Process::start(data_dir.path()), round).await;
        let after = Process::start(data_dir.path());
        for (key, path, reply) in &told {
            let form = if path == INTENTS { MANUAL } else { &[] };
            let again = after.http.post_once(key, path, form).await;
            assert_eq!(again.text, reply.text, "{key}");
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
        }
        after.kill();
    }
}

#[tokio::test]
async fn the_books_say_the_same_after_any_number_of_kills() {
    let data_dir = TempDir::new().unwrap();
    for reserved in 1..=5 {
        let process = Process::start(data_dir.path());
        process.http.reserved().await;
        assert_eq!(process.http.sums().await["authorized_open"]["USD"], 1000 * reserved);
        process.kill();
    }
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let sim = Sim::start().await;
    let whole = sim.http.reserved().await;
    let torn = sim.http.create(MANUAL).await;
    let path = sim.journal();
    let data_dir = sim.stop().await;
    let text = std::fs::read(&path).unwrap();
    let last_line = text[..text.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in [last_line + 1, (last_line + text.len()) / 2, text.len() - 1] {
        std::fs::write(&path, &text[..end]).unwrap();
        let running = psp_sim::start(Settings::new(data_dir.path(), SECRET_KEY)).await.unwrap();
        let http = crate::sim::Http::to(format!("http://{}", running.address()));
        assert_eq!(http.intent(&whole).await["status"], "requires_capture");
        assert_eq!(http.get(&format!("{INTENTS}/{torn}")).await.status, 404);
        // What is written now stands on a line of its own.
        http.create(MANUAL).await;
        running.stop().await;
        psp_sim::start(Settings::new(data_dir.path(), SECRET_KEY)).await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn damage_in_the_middle_refuses_the_start_and_says_where() {
    let sim = Sim::start().await;
    for _ in 0..3 {
        sim.http.create(MANUAL).await;
    }
    let path = sim.journal();
    let data_dir = sim.stop().await;
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = &lines[1][..40];
    std::fs::File::create(&path).unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let refused = psp_sim::start(Settings::new(data_dir.path(), SECRET_KEY)).await;
    let Err(Error::Damaged { line, .. }) = refused else { panic!("it started") };
    assert_eq!(line, 2);
}

#[tokio::test]
async fn the_journal_is_written_anew_when_it_is_too_long() {
    let short = |settings: &mut Settings| settings.journal_rewrite_min_bytes = 20_000;
    let sim = Sim::start_with(short).await;
    let id = sim.http.captured().await;
    let first = sim.http.post_once("key", INTENTS, MANUAL).await;
    // Each refusal's answer is stored, each refund changes the intent: some 200 KB of lines.
    for _ in 0..500 {
        assert_eq!(sim.http.refund(&id, "2").await.status, 200);
    }
    let bytes = std::fs::metadata(sim.journal()).unwrap().len();
    assert!(bytes > 100_000, "500 refunds and their intent are more than {bytes} bytes");
    assert!(bytes < 400_000, "{bytes} bytes are not bounded");
    let (books, refunds) = (sim.http.books().await, sim.http.get("/v1/refunds?limit=100").await.text);

    let sim = sim.restart_with(short).await;
    assert_eq!(sim.http.books().await, books);
    assert_eq!(sim.http.get("/v1/refunds?limit=100").await.text, refunds);
    assert_eq!(sim.http.post_once("key", INTENTS, MANUAL).await.text, first.text);
    assert_eq!(sim.http.refund(&id, "1").await.json["error"]["code"], "charge_already_refunded");
}

#[tokio::test]
async fn two_providers_never_share_their_books() {
    let sim = Sim::start().await;
    let data_dir = sim.journal().parent().unwrap().to_owned();
    let second = psp_sim::start(Settings::new(&data_dir, SECRET_KEY)).await;
    assert!(matches!(second, Err(Error::InUse { .. })));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids_but_never_twice() {
    let seeded = |settings: &mut Settings| settings.seed = Some(7);
    let (one, two) = (Sim::start_with(seeded).await, Sim::start_with(seeded).await);
    let first = one.http.create(MANUAL).await;
    assert_eq!(two.http.create(MANUAL).await, first);
    let one = one.restart_with(seeded).await;
    assert_ne!(one.http.create(MANUAL).await, first);
    assert_eq!(one.http.sums().await["payment_intents"], 2);
}

#[tokio::test]
async fn it_ends_with_whoever_started_it() {
    let data_dir = TempDir::new().unwrap();
    let mut process = Process::start(data_dir.path());
    let id = process.http.create(MANUAL).await;
    drop(process.child.stdin.take());
    let status = tokio::task::spawn_blocking(move || process.child.wait()).await.unwrap().unwrap();
    assert!(status.success());
    let next = Process::start(data_dir.path());
    assert_eq!(next.http.intent(&id).await["status"], "requires_confirmation");
    next.kill();
}

#[tokio::test]
async fn it_ends_well_when_asked_to() {
    let data_dir = TempDir::new().unwrap();
    let process = Process::start_with(data_dir.path(), &["--time", "1700000000", "--seed", "7"]);
    let id = process.http.create(MANUAL).await;
    let created = process.http.intent(&id).await["created"].as_i64().unwrap();
    assert!((1_700_000_000..1_700_000_060).contains(&created), "{created}");
    assert!(process.terminate());
}
