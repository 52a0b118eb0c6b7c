//! Deliveries with their log of attempts.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};
use crate::platform::page::PageRequest;
use crate::webhooks::model::{Attempt, Delivery, DeliveryState};

#[derive(Debug)]
struct Row {
    id: WebhookDeliveryId,
    event_id: WebhookEventId,
    event_type: String,
    trip_id: TripId,
    endpoint_id: WebhookEndpointId,
    state: String,
    due_at: Option<MachineTime>,
    created_at: MachineTime,
}

impl Row {
    fn with(self, attempts: Vec<Attempt>) -> Result<Delivery> {
        let state = DeliveryState::parse(&self.state)
            .ok_or_else(|| Error::impossible_row("webhook_deliveries", "state", self.id, &self.state))?;
        Ok(Delivery {
            id: self.id,
            event_id: self.event_id,
            event_type: self.event_type,
            trip_id: self.trip_id,
            endpoint_id: self.endpoint_id,
            state,
            due_at: self.due_at,
            created_at: self.created_at,
            attempts,
        })
    }
}

/// Selects deliveries without their log; `$rest` is the `where` clause.
macro_rules! deliveries {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            "select d.id, d.event_id, e.type as event_type, e.trip_id, d.endpoint_id, d.state, d.due_at, d.created_at
             from webhook_deliveries d join webhook_events e on e.id = d.event_id where " + $rest,
            $($arguments)*
        )
    };
}

/// Returns a delivery with its log.
pub async fn delivery(conn: &mut PgConnection, id: WebhookDeliveryId) -> Result<Option<Delivery>> {
    let row = deliveries!("d.id = $1", id.uuid()).fetch_optional(&mut *conn).await?;
    Ok(with_attempts(conn, row.into_iter().collect()).await?.pop())
}

/// Returns a page of the deliveries to an endpoint with their logs, newest first. The range and the order make PostgreSQL use the index of
/// the endpoint's deliveries: for equality it would walk through those of all endpoints.
pub async fn deliveries(
    conn: &mut PgConnection,
    endpoint: WebhookEndpointId,
    page: PageRequest,
) -> Result<Vec<Delivery>> {
    let rows = deliveries!(
        "d.endpoint_id between $1 and $1 and d.id < $2 order by d.endpoint_id desc, d.id desc limit $3",
        endpoint.uuid(),
        page.before,
        page.rows()
    )
    .fetch_all(&mut *conn)
    .await?;
    with_attempts(conn, rows).await
}

async fn with_attempts(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Delivery>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let lines = sqlx::query!(
        "select delivery_id, attempt, started_at, duration_ms, status, failure from webhook_attempts
         where delivery_id = any($1) order by delivery_id, attempt",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let mut attempts: HashMap<WebhookDeliveryId, Vec<Attempt>> = HashMap::new();
    for line in lines {
        attempts.entry(line.delivery_id).or_default().push(Attempt {
            number: line.attempt,
            started_at: line.started_at,
            duration_ms: line.duration_ms,
            status: line.status,
            failure: line.failure,
        });
    }
    rows.into_iter()
        .map(|row| {
            let attempts = attempts.remove(&row.id).unwrap_or_default();
            row.with(attempts)
        })
        .collect()
}
