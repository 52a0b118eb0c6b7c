//! Links: which values of a response are parameters of the next request.

use serde_json::{Value, json};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::{OpenApi, RefOr};

use super::{name, operations};

/// A link from an operation's success to the next operation, with the source of each parameter.
struct LinkRow {
    from: &'static str,
    status: &'static str,
    to: &'static str,
    with: &'static [(&'static str, &'static str)],
}

macro_rules! links {
    ($($from:ident $status:literal => { $($to:ident $(($($name:literal = $value:literal),+))?;)+ })*) => {
        &[$($(LinkRow {
            from: stringify!($from),
            status: stringify!($status),
            to: stringify!($to),
            with: &[$($(($name, $value)),+)?],
        },)+)*]
    };
}

const LINKS: &[LinkRow] = links! {
    create_quote 201 => { request_trip; }
    request_trip 201 => {
        get_trip("trip_id" = "$response.body#/id");
        list_trip_events("trip_id" = "$response.body#/id");
        explain_trip("trip_id" = "$response.body#/id");
        get_trip_driver("trip_id" = "$response.body#/id");
        cancel_trip("trip_id" = "$response.body#/id");
        get_receipt("trip_id" = "$response.body#/id");
        tip_driver("trip_id" = "$response.body#/id");
        get_payment("payment_id" = "$response.body#/payment_id");
    }
    get_trip 200 => {
        get_trip("trip_id" = "$response.body#/id", "If-None-Match" = "$response.header.ETag");
        cancel_trip("trip_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        start_trip("trip_id" = "$response.body#/id");
        complete_trip("trip_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        abort_trip("trip_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        reset_pin("trip_id" = "$response.body#/id");
        list_trip_events("trip_id" = "$response.body#/id");
        get_receipt("trip_id" = "$response.body#/id");
        get_payment("payment_id" = "$response.body#/payment_id");
    }
    list_trips 200 => {
        list_trips("cursor" = "$response.body#/next_cursor");
        get_trip("trip_id" = "$response.body#/items/0/id");
    }
    list_trip_events 200 => {
        list_trip_events("trip_id" = "$request.path.trip_id", "cursor" = "$response.body#/next_cursor");
    }
    get_receipt 200 => { get_payment("payment_id" = "$response.body#/payments/0/id"); }
    get_profile 200 => {
        accept_offer("offer_id" = "$response.body#/offer/id");
        get_trip("trip_id" = "$response.body#/trip/id");
    }
    list_offers 200 => {
        list_offers("cursor" = "$response.body#/next_cursor");
        accept_offer("offer_id" = "$response.body#/items/0/id");
        decline_offer("offer_id" = "$response.body#/items/0/id");
        get_offer("offer_id" = "$response.body#/items/0/id");
    }
    get_offer 200 => {
        accept_offer("offer_id" = "$response.body#/id");
        decline_offer("offer_id" = "$response.body#/id");
        get_trip("trip_id" = "$response.body#/trip_id");
    }
    accept_offer 200 => {
        get_trip("trip_id" = "$response.body#/trip/id");
        arrive_at_pickup("trip_id" = "$response.body#/trip/id");
        cancel_trip("trip_id" = "$response.body#/trip/id");
    }
    arrive_at_pickup 200 => {
        start_trip("trip_id" = "$response.body#/id");
        report_no_show("trip_id" = "$response.body#/id");
    }
    start_trip 200 => { complete_trip("trip_id" = "$response.body#/id"); }
    complete_trip 200 => { get_trip("trip_id" = "$response.body#/id"); }
    tip_driver 201 => { get_payment("payment_id" = "$response.body#/id"); }
    get_payment 200 => {
        list_payment_events("payment_id" = "$response.body#/id");
        create_refund("payment_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        resolve_payment("payment_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        get_trip("trip_id" = "$response.body#/trip_id");
    }
    list_payment_events 200 => {
        list_payment_events("payment_id" = "$request.path.payment_id", "cursor" = "$response.body#/next_cursor");
    }
    create_refund 201 => {
        get_payment("payment_id" = "$response.body#/payment_id");
        resolve_refund("refund_id" = "$response.body#/id");
    }
    list_postings 200 => { list_postings("cursor" = "$response.body#/next_cursor"); }
    get_reconciliation 200 => { get_finding("finding_id" = "$response.body#/findings/items/0/id"); }
    list_findings 200 => {
        list_findings("cursor" = "$response.body#/next_cursor");
        get_finding("finding_id" = "$response.body#/items/0/id");
    }
    get_finding 200 => {
        resolve_finding("finding_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
    }
    list_reconciliation_runs 200 => {
        list_reconciliation_runs("cursor" = "$response.body#/next_cursor");
        get_reconciliation_run("run_id" = "$response.body#/items/0/id");
    }
    create_reconciliation_run 201 => { get_reconciliation_run("run_id" = "$response.body#/id"); }
    list_webhook_endpoints 200 => {
        list_webhook_endpoints("cursor" = "$response.body#/next_cursor");
        get_webhook_endpoint("endpoint_id" = "$response.body#/items/0/id");
    }
    create_webhook_endpoint 201 => {
        get_webhook_endpoint("endpoint_id" = "$response.body#/id");
        list_webhook_deliveries("endpoint_id" = "$response.body#/id");
        delete_webhook_endpoint("endpoint_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
    }
    get_webhook_endpoint 200 => {
        disable_webhook_endpoint("endpoint_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        enable_webhook_endpoint("endpoint_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        rotate_webhook_secret("endpoint_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        list_webhook_deliveries("endpoint_id" = "$response.body#/id");
    }
    list_webhook_deliveries 200 => {
        list_webhook_deliveries("endpoint_id" = "$request.path.endpoint_id", "cursor" = "$response.body#/next_cursor");
        redeliver_webhook("delivery_id" = "$response.body#/items/0/id");
    }
};

/// Adds the links. A test checks that each target and each parameter exists.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let from = name(operation).to_owned();
        for row in LINKS.iter().filter(|row| row.from == from) {
            let Some(RefOr::T(response)) = operation.responses.responses.get_mut(row.status) else { continue };
            let link = LinkBuilder::new().operation_id(row.to).description(description(row)).request_body(body(row));
            let link = row.with.iter().fold(link, |link, (name, value)| link.parameter(*name, *value));
            response.links.insert(row.to.to_owned(), link.build().into());
        }
    }
}

/// Returns the names of operations in the table.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    LINKS.iter().flat_map(|row| [row.from, row.to]).collect()
}

/// Returns the body of the next request if it contains a value of this response.
fn body(row: &LinkRow) -> Option<Value> {
    match (row.from, row.to) {
        (_, "request_trip") => Some(json!({"quote_id": "$response.body#/id", "payment_method": "pm_card_visa"})),
        // Only the rider's response has the PIN.
        ("get_trip", "start_trip") => Some(json!({"pin": "$response.body#/pin"})),
        _ => None,
    }
}

fn description(row: &LinkRow) -> String {
    let names: Vec<_> = row.with.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "`quote_id` in the body of the next request is the id of this quote.".to_owned(),
        names => format!("{} of the next request, from this response.", names.join(" and ")),
    }
}
