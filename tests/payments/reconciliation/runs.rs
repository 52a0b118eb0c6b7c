//! Runs: schedule, concurrency and failures; and the resolution of findings.

use serde_json::{Value, json};

use crate::harness::{App, at_once, id, until};
use crate::reconciliation::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn resolved_finding_stays_resolved_while_its_amounts_are_the_same() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    let less = |by: i64| format!("captured_amount = captured_amount - {by}");
    world.update(&world.paid, &less(1)).await;
    world.finds(&[("amount_differs", &intent, "none")]).await;
    let overview = world.ops.get("/v1/ops/reconciliation").await.expect(200);
    assert_eq!((&overview["findings"]["total"], &overview["open"]["amount_differs"]), (&json!(1), &json!(1)));
    assert_eq!(overview["last_checked_run"]["id"], overview["last_run"]["id"]);

    let finding = overview["findings"]["items"][0].clone();
    let path = format!("/v1/ops/reconciliation/findings/{}/resolve", id(&finding));
    world.ops.post_unkeyed(&path, &json!({"note": "x"})).await.expect_problem(400, "idempotency_key_missing");
    for note in [json!(""), json!("   "), json!("x".repeat(1_001)), json!("a\u{0}b")] {
        let problem = world.ops.post(&path, &json!({"note": note})).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], "/note");
    }
    world.ops.post(&path, &json!({})).await.expect_problem(422, "invalid_request");
    let note = json!({"note": "A cent was lost in 1970; written off."});
    let unknown = "/v1/ops/reconciliation/findings/fnd_01h455vb4pex5vsknk084sn02q/resolve";
    world.ops.post(unknown, &note).await.expect_problem(404, "not_found");

    let answers = at_once((0..8).map(|_| world.ops.post_with("resolve-once", &path, &note))).await;
    let resolved: Vec<_> =
        answers.into_iter().filter(|answer| answer.status == 200).map(|answer| answer.json()).collect();
    assert!(!resolved.is_empty() && resolved.iter().all(|one| *one == resolved[0]), "{resolved:#?}");
    assert_eq!((&resolved[0]["state"], &resolved[0]["resolved_by"]), (&json!("resolved"), &json!(world.ops.id)));
    let again = world.ops.post(&path, &note).await.expect_problem(409, "invalid_transition");
    assert_eq!(again["state"], "resolved");

    // The same difference does not open a finding again; another one does.
    let run = world.finds(&[]).await;
    assert_eq!((&run["differences"], &run["found"]), (&json!(1), &json!(0)));
    world.update(&world.paid, &less(1)).await;
    world.finds(&[("amount_differs", &intent, "none")]).await;
    world.update(&world.paid, &less(-2)).await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resolve_with_a_stale_version_is_412() {
    let world = World::new().await;
    let less = "captured_amount = captured_amount - 1";
    world.update(&world.paid, less).await;
    world.run().await;
    let finding = world.findings("open").await[0].clone();
    world.update(&world.paid, less).await;
    world.run().await;
    let path = format!("/v1/ops/reconciliation/findings/{}/resolve", id(&finding));
    let request =
        world.ops.request(reqwest::Method::POST, &path).header("Idempotency-Key", "late").header("If-Match", "\"1\"");
    let answer = crate::harness::ApiResponse::of(request.json(&json!({"note": "It is one cent."}))).await;
    answer.expect_problem(412, "version_mismatch");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_provider_closes_no_finding() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    world.update(&world.paid, "captured_amount = captured_amount - 1").await;
    world.finds(&[("amount_differs", &intent, "none")]).await;
    let faults = json!({"faults": [{"on": "list", "kind": "error_503"}]});
    let sim = |method: reqwest::Method| {
        let url = format!("http://{}/sim/faults", world.app.provider.address());
        world.app.http.request(method, url).bearer_auth(crate::harness::PSP_SECRET)
    };
    assert!(sim(reqwest::Method::PUT).json(&faults).send().await.unwrap().status().is_success());
    let run = world.run().await;
    assert_eq!(run["state"], "unchecked", "{run:#}");
    assert!(run["detail"].is_string(), "{run:#}");
    assert_eq!(world.open().await.len(), 1);
    assert!(sim(reqwest::Method::DELETE).send().await.unwrap().status().is_success());
    // The circuit breaker may be open for a moment.
    until("the records are read again", async || (world.run().await["state"] == "checked").then_some(())).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_never_run_two_at_a_time() {
    let app = App::start().await;
    let second = app.second_process(|_| ()).await;
    let ops = app.ops().await;
    let there = ops.at(&second);
    for _ in 0..5 {
        let operators = [&ops, &there, &ops, &there];
        let requested = at_once(
            operators.map(async |ops| ops.post("/v1/ops/reconciliation/runs", &json!({"scope": "recent"})).await),
        )
        .await;
        for answer in requested {
            assert!([200, 201].contains(&answer.status.as_u16()), "{:#}", answer.json());
        }
    }
    let runs = until("all runs are over", async || {
        let runs =
            ops.get("/v1/ops/reconciliation/runs?limit=100").await.expect(200)["items"].as_array().unwrap().clone();
        runs.iter().all(|run| run["finished_at"].is_string()).then_some(runs)
    })
    .await;
    let time = |run: &Value, name: &str| run[name].as_str().unwrap().to_owned();
    let mut spans: Vec<_> = runs.iter().map(|run| (time(run, "started_at"), time(run, "finished_at"))).collect();
    spans.sort();
    assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two ran at once: {spans:#?}");
    assert!(
        runs.iter().all(|run| run["state"] == "checked" && run["scope"] == "recent" && run["since"].is_string()),
        "{runs:#?}"
    );
    app.assert_clean().await;
    second.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_several_processes_failed_to_continue_is_abandoned() {
    let app = App::start().await;
    let ops = app.ops().await;
    // The last process died long ago; then a scheduled run is due.
    app.break_with(
        "insert into reconciliation_runs (id, scope, state, requested_at, started_at, leased_until, failures)
         values ('01890a5d-ac96-774b-bcce-b302099a8057', 'all', 'running', '2026-01-01', '2026-01-01', '2026-01-02', 5)",
    )
    .await;
    let runs = until("the scheduled run has ended", async || {
        let runs = ops.get("/v1/ops/reconciliation/runs").await.expect(200)["items"].as_array().unwrap().clone();
        (runs.len() == 2 && runs.iter().all(|run| run["finished_at"].is_string())).then_some(runs)
    })
    .await;
    assert_eq!((&runs[1]["state"], &runs[0]["state"]), (&json!("abandoned"), &json!("checked")), "{runs:#?}");
    assert_eq!(
        (&runs[0]["scope"], &runs[0]["requested_by"]),
        (&json!("all"), &Value::Null),
        "no run of all payments was checked yet"
    );

    // The next scheduled run, 15 minutes later, compares what changed since the watermark.
    app.break_with("update reconciliation_runs set started_at = started_at - interval '16 minutes'").await;
    let runs = until("another run has ended", async || {
        let runs = ops.get("/v1/ops/reconciliation/runs").await.expect(200)["items"].as_array().unwrap().clone();
        (runs.len() == 3 && runs[0]["finished_at"].is_string()).then_some(runs)
    })
    .await;
    assert_eq!(runs[0]["scope"], "recent");
    assert!(runs[0]["windows"].as_i64().unwrap() <= 2, "an hour before the watermark: {runs:#?}");
    app.stop().await;
}

/// Other open findings do not delay the repair of new ones or the end of those that are gone.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_open_findings_delay_no_repair() {
    let world = World::new().await;
    world
        .app
        .break_with(
            "insert into reconciliation_findings (id, kind, subject, detail, state, repair, first_seen_at, last_seen_at)
             select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'state_differs', 'pi_' || n, 'is odd', 'open',
                    'look_again', '2026-01-01', '2026-01-01'
             from generate_series(1, 10001) n",
        )
        .await;
    let held = world.second_intent(&world.paid, &[("capture_method", "manual"), ("confirm", "true")]).await;
    let run = world.run().await;
    assert_eq!((&run["found"], &run["repairs"]), (&json!(1), &json!(1)), "{run:#}");
    assert_eq!(world.provider_status(&held).await, "canceled");
    let run = world.run().await;
    assert_eq!(run["ended"], 1, "{run:#}");
    assert_eq!(world.findings("repaired").await[0]["subject"], held.as_str());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_query_is_refused_and_names_the_parameter() {
    let app = App::start().await;
    let ops = app.ops().await;
    for (query, name) in
        [("state=closed", "state"), ("kind=anything", "kind"), ("limit=0", "limit"), ("cursor=x", "cursor")]
    {
        let problem =
            ops.get(&format!("/v1/ops/reconciliation/findings?{query}")).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], name, "{problem:#}");
    }
    ops.get("/v1/ops/reconciliation/findings?payment_id=trip_x").await.expect_problem(400, "invalid_id");
    ops.get("/v1/ops/reconciliation/findings?color=red").await.expect_problem(400, "malformed");
    ops.get("/v1/ops/reconciliation/runs?cursor=x").await.expect_problem(422, "invalid_request");
    let problem =
        ops.post("/v1/ops/reconciliation/runs", &json!({"scope": "some"})).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/scope");
    ops.post_unkeyed("/v1/ops/reconciliation/runs", &json!({})).await.expect_problem(400, "idempotency_key_missing");
    ops.get("/v1/ops/reconciliation/runs/run_01h455vb4pex5vsknk084sn02q").await.expect_problem(404, "not_found");
    ops.get("/v1/ops/reconciliation/findings/fnd_01h455vb4pex5vsknk084sn02q").await.expect_problem(404, "not_found");
    app.stop().await;
}
