//! Links: which part of one answer goes into the next request.

use serde_json::{Value, json};
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::{OpenApi, RefOr};

use super::{name, operations};

/// From an operation's success to the next operation: where each parameter comes from.
struct Way {
    from: &'static str,
    status: &'static str,
    to: &'static str,
    with: &'static [(&'static str, &'static str)],
}

macro_rules! ways {
    ($($from:ident $status:literal => { $($to:ident $(($($name:literal = $value:literal),+))?;)+ })*) => {
        &[$($(Way {
            from: stringify!($from),
            status: stringify!($status),
            to: stringify!($to),
            with: &[$($(($name, $value)),+)?],
        },)+)*]
    };
}

const WAYS: &[Way] = ways! {
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
        create_refund("payment_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        resolve_payment("payment_id" = "$response.body#/id", "If-Match" = "$response.header.ETag");
        get_trip("trip_id" = "$response.body#/trip_id");
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
    ask_for_reconciliation_run 201 => { get_reconciliation_run("run_id" = "$response.body#/id"); }
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

/// Adds the links. A test sees to it that each leads somewhere.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let from = name(operation).to_owned();
        for way in WAYS.iter().filter(|way| way.from == from) {
            let Some(RefOr::T(answer)) = operation.responses.responses.get_mut(way.status) else { continue };
            let link = LinkBuilder::new().operation_id(way.to).description(description(way)).request_body(body(way));
            let link = way.with.iter().fold(link, |link, (name, value)| link.parameter(*name, *value));
            answer.links.insert(way.to.to_owned(), link.build().into());
        }
    }
}

/// The operations that are known by name here.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    WAYS.iter().flat_map(|way| [way.from, way.to]).collect()
}

/// What the target has in its body, where it is something of this answer.
fn body(way: &Way) -> Option<Value> {
    (way.to == "request_trip").then(|| json!({"quote_id": "$response.body#/id", "payment_method": "pm_card_visa"}))
}

fn description(way: &Way) -> String {
    let names: Vec<_> = way.with.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "The body's `quote_id` is the quote of this answer.".to_owned(),
        names => format!("{} of the next request: from this one.", names.join(" and ")),
    }
}
