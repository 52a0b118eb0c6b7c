//! The kept balances equal the sums of the entries, whatever posts them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Balances, balances, posting, refused, ride};
use crate::harness::{App, HERE, id, until};

/// Sums the entries that `condition` selects, by account and currency.
async fn sums(app: &App, condition: &str) -> Balances {
    let sql = format!(
        "select account, currency, sum(greatest(amount, 0))::bigint, sum(greatest(-amount, 0))::bigint
         from ledger_entries join ledger_postings on ledger_postings.id = posting_id where {condition} group by 1, 2"
    );
    let rows: Vec<(String, String, i64, i64)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(app.sql()).await.unwrap();
    rows.into_iter().map(|(account, currency, debits, credits)| ((account, currency), (debits, credits))).collect()
}

/// Checks the balances of whole accounts, now and as of now, and those of every owner.
async fn assert_balances_are_sums(app: &App) {
    let ops = app.ops().await;
    let all = sums(app, "true").await;
    assert!(!all.is_empty());
    let now = app.now().await;
    for path in ["/v1/ops/ledger".to_owned(), format!("/v1/ops/ledger?as_of={now}")] {
        assert_eq!(balances(&ops.get(&path).await.expect(200)), all, "{path}");
    }
    let owners: Vec<(String, String)> = sqlx::query_as(
        "select distinct account, owner_id::text from ledger_entries where owner_id is not null order by 1, 2",
    )
    .fetch_all(app.sql())
    .await
    .unwrap();
    for (account, owner) in owners {
        let kept = "select coalesce(sum(debits - credits), 0)::bigint from ledger_balances";
        let kept = app.count(&format!("{kept} where account = '{account}' and owner_id = '{owner}'")).await;
        let summed = "select sum(amount)::bigint from ledger_entries";
        let summed = app.count(&format!("{summed} where account = '{account}' and owner_id = '{owner}'")).await;
        assert_eq!(kept, summed, "{account} of {owner}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_equal_the_sums_after_rides_refunds_tips_and_a_failed_refund() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);
    let trip = ride(&app, &rider, &driver).await;
    ride(&app, &rider, &driver).await;
    let tip = json!({"amount": {"amount": 300, "currency": "USD"}});
    rider.post(&format!("/v1/trips/{}/tip", id(&trip)), &tip).await.expect(201);
    let refunds = format!("/v1/payments/{}/refunds", trip["payment_id"].as_str().unwrap());
    for amount in [100, 50] {
        let body = json!({"amount": {"amount": amount, "currency": "USD"}});
        ops.post(&refunds, &body).await.expect(201);
    }
    let kinds =
        async |kind: &str| app.count(&format!("select count(*) from ledger_postings where kind = '{kind}'")).await;
    until("all is posted", async || (kinds("refund").await == 2 && kinds("tip").await == 1).then_some(())).await;
    assert_balances_are_sums(&app).await;

    let provider_id: String = sqlx::query_scalar("select provider_refund_id from refunds order by amount limit 1")
        .fetch_one(app.sql())
        .await
        .unwrap();
    app.simulator(reqwest::Method::POST, &format!("/refunds/{provider_id}/fail"), &json!({})).await;
    until("the refund is reversed", async || (kinds("refund_reversal").await == 1).then_some(())).await;
    assert_balances_are_sums(&app).await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_postings_to_the_same_accounts_lose_nothing_and_never_deadlock() {
    const WRITERS: u32 = 8;
    const POSTINGS: u32 = 25;
    let app = App::start().await;
    app.rider().await.request_trip().await; // the subject of the postings
    let write = async |writer: u32| {
        for n in 0..POSTINGS {
            // All for the same rider and driver, and in the order of a tip: the driver's account after the rider's.
            let entries = [
                ("rider_receivable", Some(1), 100, "USD"),
                ("driver_payable", Some(2), -75, "USD"),
                ("platform_revenue", None, -25, "USD"),
            ];
            let mut reversed = entries;
            reversed.reverse();
            let entries = if writer.is_multiple_of(2) { entries } else { reversed };
            app.break_with(&in_one_statement(100 + writer * POSTINGS + n, &entries)).await;
        }
    };
    futures_util::future::join_all((0..WRITERS).map(write)).await;
    assert_balances_are_sums(&app).await;
    let total = i64::from(WRITERS * POSTINGS);
    let owed = "select debits from ledger_balances where account = 'rider_receivable' and shard = 0
                and owner_id = '00000000-0000-7000-8000-000000000001'";
    assert_eq!(app.count(owed).await, total * 100);
    app.stop().await;
}

/// Returns the SQL of a posting whose entries are inserted by one statement, as the service does it.
fn in_one_statement(n: u32, entries: &[(&str, Option<u32>, i64, &str)]) -> String {
    let sql = posting(n, "2026-01-01", entries);
    let (first, lines) = sql.split_once(';').unwrap();
    let values: Vec<&str> =
        lines.split(';').filter_map(|line| line.trim().strip_prefix("insert into ledger_entries values ")).collect();
    format!("{first}; insert into ledger_entries values {}", values.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn posting_that_is_refused_changes_no_balance() {
    let app = App::start().await;
    app.rider().await.request_trip().await; // the subject of the postings
    let good = [("rider_receivable", Some(1), 100, "USD"), ("platform_revenue", None, -100, "USD")];
    app.break_with(&posting(1, "2026-01-01", &good)).await;
    let bad = [("rider_receivable", Some(1), 100, "USD"), ("platform_revenue", None, -99, "USD")];
    assert_eq!(refused(&app, &posting(2, "2026-01-01", &bad)).await, "posting_sums_to_zero");
    assert_balances_are_sums(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_as_of_a_time_have_the_days_before_and_the_day_itself() {
    let app = App::start().await;
    let ops = app.ops().await;
    app.rider().await.request_trip().await; // the subject of the postings
    let times = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T23:59:59.999999Z",
        "2026-01-02T00:00:00Z",
        "2026-01-02T00:00:00.000001Z",
        "2026-03-04T12:00:00Z",
    ];
    for (n, at) in (1..).zip(times) {
        let entries = [("rider_receivable", Some(1), 1 << n, "USD"), ("platform_revenue", None, -(1 << n), "USD")];
        app.break_with(&posting(n, at, &entries)).await;
    }
    let debits = async |query: String| {
        let ledger: Value = ops.get(&format!("/v1/ops/ledger{query}")).await.expect(200);
        let of: BTreeMap<_, _> = balances(&ledger);
        of.get(&("rider_receivable".to_owned(), "USD".to_owned())).map_or(0, |(debits, _)| *debits)
    };
    let owner = "owner_id=rdr_0000000000e008000000000001";
    let mut expected = 0;
    for (n, at) in (1..).zip(times) {
        expected += 1 << n;
        assert_eq!(debits(format!("?as_of={at}")).await, expected, "{at}");
        assert_eq!(debits(format!("?as_of={at}&{owner}")).await, expected, "{at}, by owner");
        assert_eq!(debits(format!("?as_of={at}&account=rider_receivable")).await, expected, "{at}, by account");
    }
    for (before, of) in [("2025-12-31T23:59:59Z", 0), ("2026-01-01T12:00:00Z", 2), ("2026-02-01T00:00:00Z", 30)] {
        assert_eq!(debits(format!("?as_of={before}")).await, of, "{before}");
    }
    assert_eq!(debits(String::new()).await, expected);
    assert_eq!(debits(format!("?{owner}")).await, expected);
    app.stop().await;
}
