//! The state after restarts, kills and damage of the journal.

use std::io::Write;

use psp_sim::{Error, Settings};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{MANUAL, Process, Reply, SECRET_KEY, Sim};

const INTENTS: &str = "/v1/payment_intents";

#[tokio::test]
async fn restart_loses_nothing() {
    let sim = Sim::start().await;
    let intents = [sim.http.create(MANUAL).await, sim.http.authorized().await, sim.http.captured().await];
    let canceled = sim.http.post_once("cancel", &format!("{INTENTS}/{}/cancel", intents[0]), &[]).await;
    sim.http.refund(&intents[2], "400").await;
    let paths = [INTENTS, "/v1/refunds"].map(str::to_owned);
    let mut before = Vec::new();
    for path in &paths {
        before.push(sim.http.get(path).await.text);
    }
    let state = sim.http.state().await;

    let sim = sim.restart().await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(sim.http.get(path).await.text, before);
    }
    assert_eq!(sim.http.state().await, state);
    let again = sim.http.post_once("cancel", &format!("{INTENTS}/{}/cancel", intents[0]), &[]).await;
    assert_eq!((again.header("idempotent-replayed"), &again.text), (Some("true"), &canceled.text));
    assert_eq!(sim.http.refund(&intents[2], "601").await.status, 400);
}

/// Clients that create and confirm intents until the simulator is killed. Returns every response, with key and path.
async fn responses_until_killed(process: Process, round: usize) -> Vec<(String, String, Reply)> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let (http, sender) = (process.http.clone(), sender.clone());
        callers.spawn(async move {
            for number in 0.. {
                let key = format!("{round} {caller} create {number}");
                let Ok(created) = http.try_post_once(&key, INTENTS, MANUAL).await else {
                    return;
                };
                let confirm = format!("{INTENTS}/{}/confirm", created.id());
                let _ = sender.send((key, INTENTS.to_owned(), created));
                let key = format!("{round} {caller} confirm {number}");
                let Ok(confirmed) = http.try_post_once(&key, &confirm, &[]).await else {
                    return;
                };
                let _ = sender.send((key, confirm, confirmed));
            }
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while all.len() < 50 * round {
        all.push(receiver.recv().await.unwrap());
    }
    process.kill();
    while let Some(one) = receiver.recv().await {
        all.push(one);
    }
    callers.join_all().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_loses_no_response_that_was_sent() {
    let data_dir = TempDir::new().unwrap();
    for round in 1..=5 {
        // Each round continues on the journal of the last one.
        let responses = responses_until_killed(Process::start(data_dir.path()), round).await;
        let after = Process::start(data_dir.path());
        for (key, path, reply) in &responses {
            let form = if path == INTENTS { MANUAL } else { &[] };
            let again = after.http.post_once(key, path, form).await;
            assert_eq!(again.text, reply.text, "{key}");
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
        }
        after.kill();
    }
}

#[tokio::test]
async fn state_is_the_same_after_every_kill() {
    let data_dir = TempDir::new().unwrap();
    for authorized in 1..=5 {
        let process = Process::start(data_dir.path());
        process.http.authorized().await;
        assert_eq!(process.http.sums().await["authorized_open"]["USD"], 1000 * authorized);
        process.kill();
    }
}

#[tokio::test]
async fn incomplete_last_line_is_removed() {
    let sim = Sim::start().await;
    let complete = sim.http.authorized().await;
    let incomplete = sim.http.create(MANUAL).await;
    let path = sim.journal();
    let data_dir = sim.stop().await;
    let text = std::fs::read(&path).unwrap();
    let last_line = text[..text.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in [last_line + 1, (last_line + text.len()) / 2, text.len() - 1] {
        std::fs::write(&path, &text[..end]).unwrap();
        let settings = Settings { any_version: true, ..Settings::new(data_dir.path(), SECRET_KEY) };
        let running = psp_sim::start(settings).await.unwrap();
        let http = crate::harness::Http::to(format!("http://{}", running.address()));
        assert_eq!(http.intent(&complete).await["status"], "requires_capture");
        assert_eq!(http.get(&format!("{INTENTS}/{incomplete}")).await.status, 404);
        // A new line is not appended to the incomplete one.
        http.create(MANUAL).await;
        running.stop().await;
        psp_sim::start(Settings::new(data_dir.path(), SECRET_KEY)).await.unwrap().stop().await;
    }
}

#[tokio::test]
async fn damaged_line_in_the_middle_fails_the_start_with_its_number() {
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
    let Err(Error::Damaged { line, .. }) = refused else { panic!("the simulator started") };
    assert_eq!(line, 2);
}

#[tokio::test]
async fn long_journal_is_rewritten_without_loss() {
    let short = |settings: &mut Settings| settings.journal_rewrite_min_bytes = 20_000;
    let sim = Sim::start_with(short).await;
    let id = sim.http.captured().await;
    let first = sim.http.post_once("key", INTENTS, MANUAL).await;
    // Each refund writes the refund and the intent: about 200 KB of lines.
    for _ in 0..500 {
        assert_eq!(sim.http.refund(&id, "2").await.status, 200);
    }
    let bytes = std::fs::metadata(sim.journal()).unwrap().len();
    assert!(bytes > 100_000, "500 refunds and their intent are more than {bytes} bytes");
    assert!(bytes < 400_000, "{bytes} bytes are not bounded");
    let (state, refunds) = (sim.http.state().await, sim.http.get("/v1/refunds?limit=100").await.text);

    let sim = sim.restart_with(short).await;
    assert_eq!(sim.http.state().await, state);
    assert_eq!(sim.http.get("/v1/refunds?limit=100").await.text, refunds);
    assert_eq!(sim.http.post_once("key", INTENTS, MANUAL).await.text, first.text);
    assert_eq!(sim.http.refund(&id, "1").await.json["error"]["code"], "charge_already_refunded");
}

#[tokio::test]
async fn second_simulator_on_one_directory_fails_to_start() {
    let sim = Sim::start().await;
    let data_dir = sim.journal().parent().unwrap().to_owned();
    let second = psp_sim::start(Settings::new(&data_dir, SECRET_KEY)).await;
    assert!(matches!(second, Err(Error::InUse { .. })));
}

#[tokio::test]
async fn same_seed_gives_the_same_ids_but_not_after_a_restart() {
    let seeded = |settings: &mut Settings| settings.seed = Some(7);
    let (one, two) = (Sim::start_with(seeded).await, Sim::start_with(seeded).await);
    let first = one.http.create(MANUAL).await;
    assert_eq!(two.http.create(MANUAL).await, first);
    let one = one.restart_with(seeded).await;
    assert_ne!(one.http.create(MANUAL).await, first);
    assert_eq!(one.http.sums().await["payment_intents"], 2);
}

#[tokio::test]
async fn process_exits_when_standard_input_ends() {
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
async fn sigterm_exits_with_success() {
    let data_dir = TempDir::new().unwrap();
    let process = Process::start_with(data_dir.path(), &["--time", "1700000000", "--seed", "7"]);
    let id = process.http.create(MANUAL).await;
    let created = process.http.intent(&id).await["created"].as_i64().unwrap();
    assert!((1_700_000_000..1_700_000_060).contains(&created), "{created}");
    assert!(process.terminate());
}
