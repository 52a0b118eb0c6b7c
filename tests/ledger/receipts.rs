//! Receipts: what they add up to, and how people see them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Actor, Answer, App, HERE, id, in_progress, until};
use crate::ride;

fn amount(value: &Value) -> i64 {
    value["amount"].as_i64().unwrap()
}

fn sum(items: &Value, member: &str) -> i64 {
    items.as_array().unwrap().iter().map(|item| amount(&item[member])).sum()
}

/// What must be true of every receipt.
fn assert_adds_up(receipt: &Value) {
    assert_eq!(sum(&receipt["lines"], "amount"), amount(&receipt["total"]), "{receipt:#}");
    assert_eq!(sum(&receipt["payments"], "captured"), amount(&receipt["captured"]), "{receipt:#}");
    assert_eq!(sum(&receipt["payments"], "refunded"), amount(&receipt["refunded"]), "{receipt:#}");
    assert_eq!(
        amount(&receipt["due"]),
        (amount(&receipt["total"]) - amount(&receipt["captured"])).max(0),
        "{receipt:#}"
    );
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
    let answer = Answer::of(rider.request(Method::GET, &path).header("Accept", "text/plain")).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("vary"), Some("Accept"));
    String::from_utf8(answer.bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ride_with_waiting_and_a_refund_adds_up_and_can_be_read() {
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
    assert_eq!(whats, ["authorised", "captured", "refunded"]);

    let text = as_text(&rider, id(&trip)).await;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("Receipt for {}", id(&trip)));
    assert!(lines[1].starts_with("Completed on "), "{text}");
    // All amounts end in one column, and all of them are in the JSON as well.
    let amounts: Vec<_> = lines.iter().filter(|line| line.ends_with(" USD")).collect();
    assert!(amounts.iter().all(|line| line.chars().count() == 56), "{text}");
    assert_eq!(amounts.len(), receipt["lines"].as_array().unwrap().len() + 1 + 3 + 4, "{text}");
    assert!(text.contains("\nFare, Visa: captured\n"), "{text}");
    assert!(text.contains("1.23 USD") && !text.contains("pm_"), "{text}");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ends_have_receipts_as_well() {
    let app = App::start().await;
    let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);

    // Under way: nothing is charged yet, and something is reserved.
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/receipt", id(&trip));
    let receipt = rider.get(&path).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["total"]), amount(&receipt["authorised"])), (0, amount(&trip["price"])));
    assert!(as_text(&rider, id(&trip)).await.starts_with(&format!("Receipt for {}\nIn progress\n", id(&trip))));

    // Ended by an operator, for a price of their own.
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

    // Cancelled for free: nothing on it.
    let trip = rider.request_trip_with("pm_card_mastercard").await;
    rider.act(id(&trip), "cancel").await.expect(200);
    let receipt = rider.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200);
    assert_adds_up(&receipt);
    assert_eq!((amount(&receipt["total"]), receipt["lines"].as_array().unwrap().len()), (0, 0));
    assert_eq!(receipt["payments"][0]["method"], "Mastercard");
    app.stop().await;
}
