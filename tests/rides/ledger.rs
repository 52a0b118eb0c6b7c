//! The ledger: constraints, balances as of a time, paged statements, and receipts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod balances;
mod receipts;

use std::collections::BTreeMap;

use crate::harness::{Actor, App, HERE, id, in_progress, until};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

/// Runs SQL that must fail. Returns the constraint's name, or the message.
async fn refused(app: &App, sql: &str) -> String {
    let error = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(app.sql()).await.expect_err(sql);
    let error = error.as_database_error().unwrap_or_else(|| panic!("{error}"));
    error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned)
}

/// Returns the SQL of a posting with the entries `(account, owner, amount, currency)`. Statements sent together are one transaction.
fn posting(n: u32, at: &str, entries: &[(&str, Option<u32>, i64, &str)]) -> String {
    let uuid = |n: u32| format!("'00000000-0000-7000-8000-{n:012}'");
    let mut sql = format!(
        "insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
         select {id}, 'charge', {id}, id, '{at}' from trips limit 1;",
        id = uuid(n)
    );
    for (line, (account, owner, amount, currency)) in entries.iter().enumerate() {
        let owner = owner.map_or("null".to_owned(), uuid);
        sql += &format!(
            "insert into ledger_entries values ({}, {line}, '{account}', {owner}, {amount}, '{currency}');",
            uuid(n)
        );
    }
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn database_refuses_unbalanced_postings_and_changes() {
    let app = App::start().await;
    app.rider().await.request_trip().await; // the subject of the postings
    let (receivable, revenue) = ("rider_receivable", "platform_revenue");
    app.break_with(&posting(1, "2026-01-01", &[(receivable, Some(7), 100, "USD"), (revenue, None, -100, "USD")])).await;

    const UNBALANCED: &str = "posting_sums_to_zero";
    for entries in [
        &[(receivable, Some(7), 100, "USD"), (revenue, None, -99, "USD")][..],
        &[(receivable, Some(7), 100, "USD")],
        &[],
        // The sum is zero, but not in each currency.
        &[(receivable, Some(7), 100, "USD"), (revenue, None, -100, "EUR")],
    ] {
        assert_eq!(refused(&app, &posting(2, "2026-01-01", entries)).await, UNBALANCED, "{entries:?}");
    }
    let zero = &[(receivable, Some(7), 0, "USD"), (revenue, None, 0, "USD")];
    assert_eq!(refused(&app, &posting(2, "2026-01-01", zero)).await, "ledger_entries_amount_check");
    let nowhere = &[("petty_cash", None, 1, "USD"), (revenue, None, -1, "USD")];
    assert_eq!(refused(&app, &posting(2, "2026-01-01", nowhere)).await, "ledger_entries_account_fkey");
    let again = "insert into ledger_postings select gen_random_uuid(), kind, source_id, trip_id, posted_at from ledger_postings";
    assert_eq!(refused(&app, again).await, "posted_once");

    // A later entry would unbalance its posting.
    let late = "insert into ledger_entries select id, 9, 'refunds', null, 5, 'USD' from ledger_postings";
    assert_eq!(refused(&app, late).await, UNBALANCED);
    for table in ["ledger_entries", "ledger_postings"] {
        for change in ["update {} set {} = {}", "delete from {}", "truncate {} cascade"] {
            let column = if table == "ledger_entries" { "amount" } else { "kind" };
            let sql = change.replacen("{}", table, 1).replace("{}", column);
            assert_eq!(refused(&app, &sql).await, format!("{table} is append-only"), "{sql}");
        }
    }
    assert_eq!(app.count("select count(*) from ledger_entries").await, 2);
    app.stop().await;
}

/// Debits and credits by account and currency.
type Balances = BTreeMap<(String, String), (i64, i64)>;

fn balances(ledger: &Value) -> Balances {
    let text = |account: &Value, member: &str| account[member].as_str().unwrap().to_owned();
    let accounts = ledger["accounts"].as_array().unwrap().iter();
    accounts
        .map(|account| {
            let (debits, credits) = (account["debits"].as_i64().unwrap(), account["credits"].as_i64().unwrap());
            assert_eq!(account["balance"], debits - credits);
            ((text(account, "account"), text(account, "currency")), (debits, credits))
        })
        .collect()
}

/// A generated posting: second, whether in dollars, debited and credited account, amount.
type Plan = (u32, bool, usize, usize, i64);

const ACCOUNTS: [(&str, Option<u32>); 5] = [
    ("rider_receivable", Some(1)),
    ("rider_receivable", Some(2)),
    ("driver_payable", Some(3)),
    ("platform_revenue", None),
    ("clearing", None),
];

#[tokio::test(flavor = "multi_thread")]
async fn trial_balance_is_zero_in_each_currency_at_any_time() {
    let app = App::start().await;
    let ops = app.ops().await;
    app.rider().await.request_trip().await; // the subject of the postings
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let plan = (0_u32..60, any::<bool>(), 0..ACCOUNTS.len(), 0..ACCOUNTS.len(), 1_i64..1_000_000);
    let plans: Vec<Plan> = proptest::collection::vec(plan, 40).new_tree(&mut runner).unwrap().current();
    for (n, (second, dollars, debit, credit, amount)) in (1_u32..).zip(&plans) {
        let currency = if *dollars { "USD" } else { "JPY" };
        let line = |place: usize, amount| (ACCOUNTS[place].0, ACCOUNTS[place].1, amount, currency);
        let at = format!("2026-01-01T00:00:{second:02}Z");
        app.break_with(&posting(n, &at, &[line(*debit, *amount), line(*credit, -amount)])).await;
    }
    for second in (0..60).step_by(3) {
        let ledger = ops.get(&format!("/v1/ops/ledger?as_of=2026-01-01T00:00:{second:02}Z")).await.expect(200);
        let mut expected = Balances::new();
        for (at, dollars, debit, credit, amount) in &plans {
            let currency = if *dollars { "USD" } else { "JPY" };
            if *at <= second {
                expected.entry((ACCOUNTS[*debit].0.to_owned(), currency.to_owned())).or_default().0 += amount;
                expected.entry((ACCOUNTS[*credit].0.to_owned(), currency.to_owned())).or_default().1 += amount;
            }
        }
        assert_eq!(balances(&ledger), expected, "as of second {second} of {plans:?}");
        for total in ledger["totals"].as_array().unwrap() {
            assert_eq!(total["balance"], 0, "as of second {second} of {plans:?}");
        }
    }
    app.stop().await;
}

/// Completes a trip and waits for its capture.
async fn ride(app: &App, rider: &Actor, driver: &Actor) -> Value {
    let trip = in_progress(app, rider, driver).await;
    let trip = driver.command(id(&trip), "complete").await.expect(200);
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("it is captured", async || {
        (app.ops().await.get(&payment).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
    trip
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_statement_shows_what_was_owed_and_when() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);
    let first = ride(&app, &rider, &driver).await;
    let between = app.now().await;
    app.advance(3_600).await;
    driver.send_position(&app, HERE).await;
    let second = ride(&app, &rider, &driver).await;

    let payable = async |as_of: &str| {
        let path = format!("/v1/ops/ledger?account=driver_payable&owner_id={}{as_of}", driver.id);
        let ledger = ops.get(&path).await.expect(200);
        ledger["accounts"][0]["balance"].as_i64().unwrap_or(0)
    };
    let share = |trip: &Value| trip["fare"]["amount"].as_i64().unwrap() * 75 / 100;
    assert_eq!(payable("").await, -share(&first) - share(&second));
    assert_eq!(payable(&format!("&as_of={between}")).await, -share(&first));
    assert_eq!(payable("&as_of=2020-01-01T00:00:00Z").await, 0);

    // The statement has the driver's postings, latest first, with all their entries.
    let statement = format!("/v1/ops/ledger/postings?owner_id={}", driver.id);
    let trips = |page: &Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|posting| posting["source_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let page = ops.get(&statement).await.expect(200);
    assert_eq!(trips(&page), [id(&second), id(&first)]);
    assert_eq!(page["items"][0]["kind"], "charge");
    let sum: i64 =
        page["items"][0]["entries"].as_array().unwrap().iter().map(|entry| entry["amount"].as_i64().unwrap()).sum();
    assert_eq!(sum, 0);
    let page = ops.get(&format!("{statement}&as_of={between}")).await.expect(200);
    assert_eq!(trips(&page), [id(&first)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn later_postings_do_not_shift_pages() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);
    for _ in 0..3 {
        ride(&app, &rider, &driver).await;
    }
    let ids = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|posting| posting["id"].to_string()).collect::<Vec<_>>()
    };
    let all = ids(&ops.get("/v1/ops/ledger/postings?limit=100").await.expect(200));
    assert_eq!(all.len(), 6, "three charges, three captures");
    let mut read = Vec::new();
    let mut next = String::new();
    loop {
        let page = ops.get(&format!("/v1/ops/ledger/postings?limit=2{next}")).await.expect(200);
        read.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("&cursor={cursor}");
        ride(&app, &rider, &driver).await;
    }
    assert_eq!(read, all);
    let captures = ops.get("/v1/ops/ledger/postings?account=clearing&limit=100").await.expect(200);
    let is_capture =
        |posting: &Value| posting["kind"] == "capture" && posting["source_id"].as_str().unwrap().starts_with("pay_");
    assert!(captures["items"].as_array().unwrap().iter().all(is_capture), "{captures:#}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_ledger_query_is_refused_and_names_the_parameter() {
    let app = App::start().await;
    let ops = app.ops().await;
    let rider = app.rider().await;
    let house = format!("account=clearing&owner_id={}", rider.id);
    let others = format!("account=driver_payable&owner_id={}", rider.id);
    for address in ["/v1/ops/ledger", "/v1/ops/ledger/postings"] {
        for (query, status, code, name) in [
            ("trip_id=ofr_x", 400, "invalid_id", "trip_id"),
            ("owner_id=trip_x", 400, "invalid_id", "owner_id"),
            ("owner_id=drv_x", 400, "invalid_id", "owner_id"),
            (&others, 400, "invalid_id", "owner_id"),
            (&house, 422, "invalid_request", "owner_id"),
            ("account=petty_cash", 422, "invalid_request", "account"),
            ("account=", 422, "invalid_request", "account"),
            ("as_of=yesterday", 400, "malformed", "as_of"),
            ("as_of=2026-01-01", 400, "malformed", "as_of"),
            ("as_of=9999-01-01T00:00:00Z", 422, "invalid_request", "as_of"),
        ] {
            let problem = ops.get(&format!("{address}?{query}")).await.expect_problem(status, code);
            assert_eq!(problem["errors"][0]["pointer"], name, "{query}: {problem:#}");
        }
        ops.get(&format!("{address}?since=2026-01-01T00:00:00Z")).await.expect_problem(400, "malformed");
        rider.get(address).await.expect_problem(403, "forbidden");
    }
    for query in ["cursor=x", "cursor=c", "limit=0", "limit=101"] {
        ops.get(&format!("/v1/ops/ledger/postings?{query}")).await.expect_problem(422, "invalid_request");
    }
    ops.get("/v1/ops/ledger/postings?limit=256").await.expect_problem(400, "malformed");
    let answer = crate::harness::ApiResponse::of(ops.request(Method::POST, "/v1/ops/ledger").json(&json!({}))).await;
    answer.expect_problem(405, "method_not_allowed");
    app.stop().await;
}
