//! Runs: who makes them, when, and how often at a time; and what people say to findings.

use serde_json::{Value, json};

use crate::harness::{App, at_once, id, until};
use crate::world::{World, uuid};

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_resolved_by_a_person_and_stays_so_while_it_is_the_same() {
    let world = World::new().await;
    let (paid, intent) = (uuid(&world.paid), world.intent(&world.paid).await);
    let less = |by: i64| format!("update payments set captured_amount = captured_amount - {by} where id = {paid}");
    world.app.break_with(&less(1)).await;
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
    let nobody = "/v1/ops/reconciliation/findings/fnd_01h455vb4pex5vsknk084sn02q/resolve";
    world.ops.post(nobody, &note).await.expect_problem(404, "not_found");

    let answers = at_once((0..8).map(|_| world.ops.post_with("resolve-once", &path, &note))).await;
    let resolved: Vec<_> =
        answers.into_iter().filter(|answer| answer.status == 200).map(|answer| answer.json()).collect();
    assert!(!resolved.is_empty() && resolved.iter().all(|one| *one == resolved[0]), "{resolved:#?}");
    assert_eq!((&resolved[0]["state"], &resolved[0]["resolved_by"]), (&json!("resolved"), &json!(world.ops.id)));
    let again = world.ops.post(&path, &note).await.expect_problem(409, "invalid_transition");
    assert_eq!(again["state"], "resolved");

    // The same difference does not come back; another one does.
    let run = world.finds(&[]).await;
    assert_eq!((&run["differences"], &run["found"]), (&json!(1), &json!(0)));
    world.app.break_with(&less(1)).await;
    world.finds(&[("amount_differs", &intent, "none")]).await;
    world.app.break_with(&less(-2)).await;
    world.app.assert_clean().await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_has_changed_is_not_resolved() {
    let world = World::new().await;
    let paid = uuid(&world.paid);
    let less = format!("update payments set captured_amount = captured_amount - 1 where id = {paid}");
    world.app.break_with(&less).await;
    world.run().await;
    let finding = world.findings("open").await[0].clone();
    world.app.break_with(&less).await;
    world.run().await;
    let path = format!("/v1/ops/reconciliation/findings/{}/resolve", id(&finding));
    let request =
        world.ops.request(reqwest::Method::POST, &path).header("Idempotency-Key", "late").header("If-Match", "\"1\"");
    let answer = crate::harness::Answer::of(request.json(&json!({"note": "It is one cent."}))).await;
    answer.expect_problem(412, "version_mismatch");
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_ends_nothing() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    world
        .app
        .break_with(&format!(
            "update payments set captured_amount = captured_amount - 1 where id = {}",
            uuid(&world.paid)
        ))
        .await;
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
    // The breaker may rest for a moment.
    until("the books are read again", async || (world.run().await["state"] == "checked").then_some(())).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_whoever_asks() {
    let app = App::start().await;
    let second = app.another(|_| ()).await;
    let ops = app.ops().await;
    let there = ops.at(&second);
    for _ in 0..5 {
        let askers = [&ops, &there, &ops, &there];
        let asked =
            at_once(askers.map(async |ops| ops.post("/v1/ops/reconciliation/runs", &json!({"scope": "recent"})).await))
                .await;
        for answer in asked {
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
async fn the_run_of_a_process_that_is_gone_is_given_up() {
    let app = App::start().await;
    let ops = app.ops().await;
    // As if a process had died, long ago; and then the schedule's turn came.
    app.break_with(
        "insert into reconciliation_runs (id, scope, state, asked_at, started_at, leased_until)
         values ('01890a5d-ac96-774b-bcce-b302099a8057', 'all', 'running', '2026-01-01', '2026-01-01', '2026-01-02')",
    )
    .await;
    let runs = until("the schedule has made a run", async || {
        let runs = ops.get("/v1/ops/reconciliation/runs").await.expect(200)["items"].as_array().unwrap().clone();
        (runs.len() == 2 && runs.iter().all(|run| run["finished_at"].is_string())).then_some(runs)
    })
    .await;
    assert_eq!((&runs[1]["state"], &runs[0]["state"]), (&json!("abandoned"), &json!("checked")), "{runs:#?}");
    assert_eq!(
        (&runs[0]["scope"], &runs[0]["asked_by"]),
        (&json!("all"), &Value::Null),
        "nothing was ever compared whole"
    );

    // A quarter of an hour later the recent ones are enough.
    app.break_with("update reconciliation_runs set started_at = started_at - interval '16 minutes'").await;
    let runs = until("another run is made", async || {
        let runs = ops.get("/v1/ops/reconciliation/runs").await.expect(200)["items"].as_array().unwrap().clone();
        (runs.len() == 3 && runs[0]["finished_at"].is_string()).then_some(runs)
    })
    .await;
    assert_eq!(runs[0]["scope"], "recent");
    app.stop().await;
}

/// Whatever else is open, and however much of it, what a rule covers is repaired, and what is gone ends.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_open_findings_hold_nothing_up() {
    let world = World::new().await;
    world
        .app
        .break_with(
            "insert into reconciliation_findings (id, kind, subject, what, state, repair, first_seen_at, last_seen_at)
             select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'state_differs', 'pi_' || n, 'is odd', 'open',
                    'look_again', '2026-01-01', '2026-01-01'
             from generate_series(1, 10001) n",
        )
        .await;
    let held = world.second_intent(&world.paid, &[("capture_method", "manual"), ("confirm", "true")]).await;
    let run = world.run().await;
    assert_eq!((&run["found"], &run["repairs"]), (&json!(1), &json!(1)), "{run:#}");
    assert_eq!(world.status_there(&held).await, "canceled");
    let run = world.run().await;
    assert_eq!(run["ended"], 1, "{run:#}");
    assert_eq!(world.findings("repaired").await[0]["subject"], held.as_str());
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_badly_is_refused_by_name() {
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
    ops.get("/v1/ops/reconciliation/findings?colour=red").await.expect_problem(400, "malformed");
    ops.get("/v1/ops/reconciliation/runs?cursor=x").await.expect_problem(422, "invalid_request");
    let problem =
        ops.post("/v1/ops/reconciliation/runs", &json!({"scope": "some"})).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/scope");
    ops.post_unkeyed("/v1/ops/reconciliation/runs", &json!({})).await.expect_problem(400, "idempotency_key_missing");
    ops.get("/v1/ops/reconciliation/runs/run_01h455vb4pex5vsknk084sn02q").await.expect_problem(404, "not_found");
    ops.get("/v1/ops/reconciliation/findings/fnd_01h455vb4pex5vsknk084sn02q").await.expect_problem(404, "not_found");
    app.stop().await;
}
