//! The table of endpoints, and their subscription to the outbox.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Error, Refusal, Result};
use crate::platform::ids::{Id, WebhookEndpointId};
use crate::platform::page::PageRequest;
use crate::webhooks::model::{DisabledReason, Endpoint, SUBSCRIBER, TOPICS};
use crate::webhooks::signature::Secret;

#[derive(Debug)]
struct Row {
    id: WebhookEndpointId,
    url: String,
    event_types: Vec<String>,
    description: String,
    disabled_at: Option<MachineTime>,
    disabled_reason: Option<String>,
    old_secret_until: Option<MachineTime>,
    version: i64,
    created_at: MachineTime,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let reason = row.disabled_reason.map(|name| {
            DisabledReason::parse(&name)
                .ok_or_else(|| Error::impossible_row("webhook_endpoints", "disabled_reason", id, name))
        });
        Ok(Self {
            id,
            url: row.url,
            event_types: row.event_types,
            description: row.description,
            disabled: row.disabled_at.zip(reason.transpose()?),
            old_secret_until: row.old_secret_until,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// Selects endpoints that are not deleted; `$rest` continues the `where` clause.
macro_rules! endpoints {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            "select id, url, event_types, description, disabled_at, disabled_reason, old_secret_until, version, created_at
             from webhook_endpoints where deleted_at is null and " + $rest,
            $($arguments)*
        )
    };
}

/// Returns an endpoint that is not deleted.
pub async fn endpoint(conn: &mut PgConnection, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    endpoints!("id = $1", id.uuid()).fetch_optional(conn).await?.map(Endpoint::try_from).transpose()
}

/// Returns an endpoint that is not deleted and locks its row.
pub async fn lock(conn: &mut PgConnection, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    endpoints!("id = $1 for no key update", id.uuid()).fetch_optional(conn).await?.map(Endpoint::try_from).transpose()
}

/// Returns a page of the endpoints that are not deleted, newest first.
pub async fn endpoints(conn: &mut PgConnection, page: PageRequest) -> Result<Vec<Endpoint>> {
    let rows = endpoints!("id < $1 order by id desc limit $2", page.before, page.rows()).fetch_all(conn).await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// Returns the number of endpoints that are not deleted.
pub async fn count(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from webhook_endpoints where deleted_at is null"#)
        .fetch_one(conn)
        .await?;
    Ok(count)
}

/// An endpoint to insert.
#[derive(Debug)]
pub struct NewEndpointRow<'a> {
    pub endpoint: &'a Endpoint,
    pub secret: &'a Secret,
    pub key_id: Option<Uuid>,
}

/// Inserts an endpoint.
pub async fn insert_endpoint(conn: &mut PgConnection, new: NewEndpointRow<'_>) -> Result<()> {
    sqlx::query!(
        "insert into webhook_endpoints (id, url, event_types, description, secret, created_at, request_key_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.endpoint.id.uuid(),
        new.endpoint.url,
        &new.endpoint.event_types,
        new.endpoint.description,
        new.secret.bytes(),
        new.endpoint.created_at as _,
        new.key_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Disables or enables an endpoint.
pub async fn set_disabled(
    conn: &mut PgConnection,
    endpoint: &Endpoint,
    disabled: Option<(MachineTime, DisabledReason)>,
) -> Result<()> {
    let done = sqlx::query!(
        "update webhook_endpoints set disabled_at = $3, disabled_reason = $4, version = version + 1
         where id = $1 and version = $2 and deleted_at is null",
        endpoint.id.uuid(),
        endpoint.version,
        disabled.map(|(since, _)| since) as _,
        disabled.map(|(_, reason)| reason.as_str()),
    )
    .execute(conn)
    .await?;
    one_row(&done, has_changed)
}

/// Replaces the secret of an endpoint; the previous one signs too until `old_secret_until`.
pub async fn rotate(
    conn: &mut PgConnection,
    endpoint: &Endpoint,
    secret: &Secret,
    old_secret_until: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update webhook_endpoints set old_secret = secret, old_secret_until = $4, secret = $3, version = version + 1
         where id = $1 and version = $2 and deleted_at is null",
        endpoint.id.uuid(),
        endpoint.version,
        secret.bytes(),
        old_secret_until as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, has_changed)
}

/// Marks an endpoint as deleted and erases its secrets. The row stays for the log of its deliveries.
///
/// Stored responses that contain a secret stay with their idempotency keys for 24 h: without the key, a repeat of the request
/// would register another endpoint.
pub async fn delete(conn: &mut PgConnection, endpoint: &Endpoint, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update webhook_endpoints
         set deleted_at = $3, secret = decode(repeat('00', 32), 'hex'), old_secret = null, old_secret_until = null, version = version + 1
         where id = $1 and version = $2 and deleted_at is null",
        endpoint.id.uuid(),
        endpoint.version,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, has_changed)
}

fn has_changed() -> Refusal {
    Refusal::new(crate::platform::error::Code::Internal, "The endpoint has changed since it was read.")
}

/// Locks the subscriptions for this transaction, so that endpoints are counted and changed one transaction at a time. Publishers
/// only read the table and do not wait.
pub async fn lock_subscriptions(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("lock table outbox_subscriptions in share row exclusive mode").execute(conn).await?;
    Ok(())
}

/// Subscribes to the outbox if an endpoint is enabled, and unsubscribes if none is: then no events are written for webhooks.
pub async fn subscribe(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "delete from outbox_subscriptions
         where subscriber = $1
           and not exists (select from webhook_endpoints where disabled_at is null and deleted_at is null)",
        SUBSCRIBER
    )
    .execute(&mut *conn)
    .await?;
    let topics = TOPICS.map(str::to_owned);
    sqlx::query!(
        "insert into outbox_subscriptions (topic, subscriber)
         select topic, $1 from unnest($2::text[]) as topic
         where exists (select from webhook_endpoints where disabled_at is null and deleted_at is null)
         on conflict do nothing",
        SUBSCRIBER,
        &topics[..],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the enabled endpoints that have one of these filters.
pub async fn subscribed_endpoints(conn: &mut PgConnection, filters: &[String]) -> Result<Vec<WebhookEndpointId>> {
    let ids = sqlx::query_scalar!(
        "select id from webhook_endpoints
         where disabled_at is null and deleted_at is null and event_types && $1 order by id",
        filters,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// An endpoint with due deliveries. Its row is locked: one process at a time leases its deliveries.
#[derive(Debug)]
pub struct DueEndpoint {
    /// The endpoint's id.
    pub id: WebhookEndpointId,
    /// The endpoint's URL.
    pub url: String,
    /// The secrets that sign: two during a rotation.
    pub secrets: Vec<Secret>,
}

/// Returns the endpoints with due deliveries, without those that another process has locked.
pub async fn due_endpoints(conn: &mut PgConnection, now: MachineTime) -> Result<Vec<DueEndpoint>> {
    let rows = sqlx::query!(
        r#"select e.id, e.url, e.secret, case when e.old_secret_until > $1 then e.old_secret end as old_secret
           from webhook_endpoints e
           where e.disabled_at is null and e.deleted_at is null and exists (
               select from webhook_deliveries d
               where d.endpoint_id = e.id and d.state = 'pending' and d.due_at <= $1
                 and (d.leased_until is null or d.leased_until <= $1))
           order by e.id
           for no key update of e skip locked"#,
        now as _,
    )
    .fetch_all(conn)
    .await?;
    let due = rows.into_iter().map(|row| {
        let secrets = [Some(row.secret), row.old_secret].into_iter().flatten().map(Secret::new).collect();
        DueEndpoint { id: row.id, url: row.url, secrets }
    });
    Ok(due.collect())
}
