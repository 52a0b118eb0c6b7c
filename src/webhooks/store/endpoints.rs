//! Endpoints, and what the outbox is told on their behalf.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Error, Refusal, Result};
use crate::platform::ids::{Id, WebhookEndpointId};
use crate::platform::page::PageRequest;
use crate::webhooks::model::{Endpoint, Reason, TOPICS};
use crate::webhooks::signature::Secret;
use crate::webhooks::worker::SUBSCRIBER;

#[derive(Debug)]
struct Row {
    id: WebhookEndpointId,
    url: String,
    event_types: Vec<String>,
    description: String,
    disabled_at: Option<MachineTime>,
    disabled_reason: Option<String>,
    old_until: Option<MachineTime>,
    version: i64,
    created_at: MachineTime,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let reason = row.disabled_reason.map(|name| {
            Reason::named(&name).ok_or_else(|| Error::ImpossibleRow {
                table: "webhook_endpoints",
                column: "disabled_reason",
                row: id.to_string(),
                value: name,
            })
        });
        Ok(Self {
            id,
            url: row.url,
            event_types: row.event_types,
            description: row.description,
            disabled: row.disabled_at.zip(reason.transpose()?),
            old_secret_until: row.old_until,
            version: row.version,
            created_at: row.created_at,
        })
    }
}

/// Selects whole endpoints by what follows.
macro_rules! endpoints {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            "select id, url, event_types, description, disabled_at, disabled_reason, old_until, version, created_at
             from webhook_endpoints where deleted_at is null and " + $rest,
            $($arguments)*
        )
    };
}

/// An endpoint that is not deleted.
pub async fn endpoint(conn: &mut PgConnection, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    endpoints!("id = $1", id.uuid()).fetch_optional(conn).await?.map(Endpoint::try_from).transpose()
}

/// An endpoint that is not deleted, its row locked until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: WebhookEndpointId) -> Result<Option<Endpoint>> {
    endpoints!("id = $1 for no key update", id.uuid()).fetch_optional(conn).await?.map(Endpoint::try_from).transpose()
}

/// A page of the endpoints that are not deleted, newest first.
pub async fn endpoints(conn: &mut PgConnection, page: PageRequest) -> Result<Vec<Endpoint>> {
    let rows = endpoints!("id < $1 order by id desc limit $2", page.before, page.rows()).fetch_all(conn).await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// How many endpoints are not deleted.
pub async fn count(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from webhook_endpoints where deleted_at is null"#)
        .fetch_one(conn)
        .await?;
    Ok(count)
}

/// A new endpoint, as it is written.
#[derive(Debug)]
pub struct InsertEndpoint<'a> {
    pub endpoint: &'a Endpoint,
    pub secret: &'a Secret,
    pub key_id: Option<Uuid>,
}

/// Writes a new endpoint.
pub async fn insert_endpoint(conn: &mut PgConnection, new: InsertEndpoint<'_>) -> Result<()> {
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

/// Switches an endpoint off, or on.
pub async fn set_disabled(
    conn: &mut PgConnection,
    endpoint: &Endpoint,
    disabled: Option<(MachineTime, Reason)>,
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
    one_row(&done, changed)
}

/// Gives an endpoint another secret; the one that it had signs until `old_until` as well.
pub async fn rotate(
    conn: &mut PgConnection,
    endpoint: &Endpoint,
    secret: &Secret,
    old_until: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update webhook_endpoints set old_secret = secret, old_until = $4, secret = $3, version = version + 1
         where id = $1 and version = $2 and deleted_at is null",
        endpoint.id.uuid(),
        endpoint.version,
        secret.bytes(),
        old_until as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, changed)
}

/// Deletes an endpoint: nobody sees it any more, and its row has no secrets any more. The row stays, for the log of its deliveries.
/// The answers that showed a secret stay with their keys, like every stored answer, until those are reaped after 24 h: without
/// the key a repeat of the request would register another endpoint.
pub async fn delete(conn: &mut PgConnection, endpoint: &Endpoint, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update webhook_endpoints
         set deleted_at = $3, secret = decode(repeat('00', 32), 'hex'), old_secret = null, old_until = null, version = version + 1
         where id = $1 and version = $2 and deleted_at is null",
        endpoint.id.uuid(),
        endpoint.version,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, changed)
}

fn changed() -> Refusal {
    Refusal::new(crate::platform::error::Code::Internal, "The endpoint has changed since it was read.")
}

/// Takes the subscriptions for this transaction: endpoints are counted and come and go one change at a time. Whoever publishes
/// only reads them, and does not wait.
pub async fn lock_subscriptions(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("lock table outbox_subscriptions in share row exclusive mode").execute(conn).await?;
    Ok(())
}

/// Subscribes to the outbox if an endpoint is enabled, and ends the subscription if none is: news that nobody wants are not written.
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

/// The endpoints that are enabled and want one of these types.
pub async fn wanting(conn: &mut PgConnection, types: &[String]) -> Result<Vec<WebhookEndpointId>> {
    let ids = sqlx::query_scalar!(
        "select id from webhook_endpoints
         where disabled_at is null and deleted_at is null and event_types && $1 order by id",
        types,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// An endpoint that something is due for, its row locked, so that one process at a time takes deliveries to it.
#[derive(Debug)]
pub struct Busy {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Where to.
    pub url: String,
    /// What to sign with.
    pub secrets: Vec<Secret>,
}

/// The endpoints that something is due for. Those that another process is busy with are skipped.
pub async fn busy(conn: &mut PgConnection, now: MachineTime) -> Result<Vec<Busy>> {
    let rows = sqlx::query!(
        r#"select e.id, e.url, e.secret, case when e.old_until > $1 then e.old_secret end as old_secret
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
    let busy = rows.into_iter().map(|row| {
        let secrets = [Some(row.secret), row.old_secret].into_iter().flatten().map(Secret::new).collect();
        Busy { id: row.id, url: row.url, secrets }
    });
    Ok(busy.collect())
}
