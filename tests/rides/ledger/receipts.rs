//! Receipts: their sums, and their text form.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Actor, ApiResponse, App, HERE, id, in_progress, until};
use crate::ledger::ride;

fn amount(value: &Value) -> i64 {
    value["amount"].as_i64().unwrap()
}

fn sum(items: &Value, member: &str) -> i64 {
    items.as_array().unwrap().iter().map(|item| amount(&item[member])).sum()
}

/// Checks the sums of a receipt.
fn assert_adds_up(receipt: &Value) {
    assert_eq!(sum(&receipt["lines"], "amount"), amount(&receipt["total"]), "{receipt:#}");
    assert_eq!(sum(&receipt["payments"], "captured"), amount(&receipt["captured"]), "{receipt:#}");
    assert_eq!(sum(&receipt["payments"], "refunded"), amount(&receipt["refunded"]), "{receipt:#}");
    let due = amount(&receipt["total"]) - amount(&receipt["captured"]) - amount(&receipt["written_off"]);
    assert_eq!(amount(&receipt["due"]), due.max(0), "{receipt:#}");
    for payment in receipt["payments"].as_array().unwrap() {
        let moved = |what: &str| -> i64 {
            let movements = payment["movements"].as_array().unwrap().iter();
            movements.filter(|movement| movement["what"] == what).map(|movement| amount(&movement["amount"])).sum()
        };
        assert_eq!(
            (moved("captured"), moved("refunded")),
            (amount(&payment["captured"]), amount(&payment["refunded"]))
        );
    }
    assert!(!receipt.to_string().contains("pm_"), "{receipt:#}");
}

async fn as_text(rider: &Actor, trip: &str) -> String {
    let path = format!("/v1/trips/{trip}/receipt");
    let answer = ApiResponse::of(rider.request(Method::GET, &path).header("Accept", "text/plain")).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("vary"), Some("Accept, Authorization"));
    String::from_utf8(answer.bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_with_a_refund_adds_up_in_json_and_text() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);
    let trip = ride(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/receipt", id(&trip));
    let receipt = rider.get(&path).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["due"]), &receipt["payments"][0]["method"]), (0, &json!("Visa")));

    let refund = json!({"amount": {"amount": 123, "currency": "USD"}});
    ops.post(&format!("/v1/payments/{}/refunds", trip["payment_id"].as_str().unwrap()), &refund).await.expect(201);
    let receipt = until("it is refunded", async || {
        let receipt = rider.get(&path).await.expect(200);
        (amount(&receipt["refunded"]) == 123).then_some(receipt)
    })
    .await;
    assert_adds_up(&receipt);
    let whats: Vec<_> = receipt["payments"][0]["movements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert_eq!(whats, ["authorized", "captured", "refunded"]);

    let text = as_text(&rider, id(&trip)).await;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("Receipt for {}", id(&trip)));
    assert!(lines[1].starts_with("Completed on "), "{text}");
    // All amounts end in one column, and the JSON has all of them.
    let amounts: Vec<_> = lines.iter().filter(|line| line.ends_with(" USD")).collect();
    assert!(amounts.iter().all(|line| line.chars().count() == 56), "{text}");
    assert_eq!(amounts.len(), receipt["lines"].as_array().unwrap().len() + 1 + 3 + 3, "{text}");
    assert!(text.contains("\nFare, Visa: captured\n"), "{text}");
    assert!(text.contains("1.23 USD") && !text.contains("pm_"), "{text}");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_aborted_and_cancelled_trips_have_receipts() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);

    // In progress: nothing is charged, and the price is reserved.
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/receipt", id(&trip));
    let receipt = rider.get(&path).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["total"]), amount(&receipt["authorized"])), (0, amount(&trip["price"])));
    assert!(as_text(&rider, id(&trip)).await.starts_with(&format!("Receipt for {}\nIn progress\n", id(&trip))));

    // Aborted by an operator with a charge.
    let charge = json!({"charge": {"amount": 321, "currency": "USD"}});
    ops.post(&format!("/v1/trips/{}/abort", id(&trip)), &charge).await.expect(200);
    let receipt = until("it is captured", async || {
        let receipt = rider.get(&path).await.expect(200);
        (amount(&receipt["captured"]) == 321).then_some(receipt)
    })
    .await;
    assert_adds_up(&receipt);
    assert_eq!(
        receipt["lines"],
        json!([{"label": "Set by an operator", "amount": {"amount": 321, "currency": "USD"}}])
    );

    // Cancelled for free: no lines.
    let trip = rider.request_trip_with("pm_card_mastercard").await;
    rider.command(id(&trip), "cancel").await.expect(200);
    let receipt = rider.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["total"]), receipt["lines"].as_array().unwrap().len()), (0, 0));
    assert_eq!(receipt["payments"][0]["method"], "Mastercard");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tip_is_a_receipt_line_and_a_write_off_is_not_due() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = ride(&app, &rider, &driver).await;
    let tip = json!({"amount": {"amount": 200, "currency": "USD"}});
    rider.post(&format!("/v1/trips/{}/tip", id(&trip)), &tip).await.expect(201);
    let path = format!("/v1/trips/{}/receipt", id(&trip));
    let receipt = until("the tip is captured", async || {
        let receipt = rider.get(&path).await.expect(200);
        (amount(&receipt["due"]) == 0 && sum(&receipt["payments"], "captured") > amount(&trip["fare"]))
            .then_some(receipt)
    })
    .await;
    assert_adds_up(&receipt);
    let last = receipt["lines"].as_array().unwrap().last().unwrap();
    assert_eq!(*last, json!({"label": "Tip", "amount": {"amount": 200, "currency": "USD"}}));
    assert_eq!(amount(&receipt["total"]), amount(&trip["fare"]) + 200);

    // As if 300 of the fare had not been captured, and an operator had written off 100 of them.
    app.break_with(
        "update payments set captured_amount = captured_amount - 300 where purpose = 'fare';
         insert into payment_resolutions (id, payment_id, action, needs_review, note, operator_id, written_off, resolved_at)
         select gen_random_uuid(), id, 'close', 'broken by hand', 'a test', gen_random_uuid(), 100, '2026-11-22'
         from payments where purpose = 'fare'",
    )
    .await;
    let receipt = rider.get(&path).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["written_off"]), amount(&receipt["due"])), (100, 200));
    let text = as_text(&rider, id(&trip)).await;
    let ends = |label: &str, end: &str| text.lines().any(|line| line.starts_with(label) && line.ends_with(end));
    assert!(ends("Written off", " 1.00 USD") && ends("Due", " 2.00 USD") && ends("Tip", " 2.00 USD"), "{text}");
    app.stop().await;
}
