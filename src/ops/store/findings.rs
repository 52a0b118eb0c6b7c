//! Findings of reconciliation, in rows.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::books::Difference;
use super::super::model::findings::Finding;
use super::super::model::kinds::{FindingState, Kind, Repair};
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{FindingId, Id, OpsId, PaymentId, RefundId, TripId};
use crate::platform::page::PageRequest;

struct Row {
    id: FindingId,
    kind: String,
    subject: String,
    payment_id: Option<PaymentId>,
    trip_id: Option<TripId>,
    intent_id: Option<String>,
    refund_id: Option<RefundId>,
    currency: Option<String>,
    ours: Option<i64>,
    theirs: Option<i64>,
    what: String,
    state: String,
    repair: String,
    repairs_tried: i64,
    first_seen_at: MachineTime,
    last_seen_at: MachineTime,
    ended_at: Option<MachineTime>,
    resolved_by: Option<OpsId>,
    note: Option<String>,
    version: i64,
}

impl TryFrom<Row> for Finding {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let impossible = |column, value: &str| Error::ImpossibleRow {
            table: "reconciliation_findings",
            column,
            row: row.id.to_string(),
            value: value.to_owned(),
        };
        Ok(Self {
            kind: Kind::named(&row.kind).ok_or_else(|| impossible("kind", &row.kind))?,
            state: FindingState::named(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            repair: Repair::named(&row.repair).ok_or_else(|| impossible("repair", &row.repair))?,
            id: row.id,
            subject: row.subject,
            payment_id: row.payment_id,
            trip_id: row.trip_id,
            intent_id: row.intent_id,
            refund_id: row.refund_id,
            currency: row.currency,
            figures: row.ours.zip(row.theirs),
            what: row.what,
            repairs_tried: row.repairs_tried,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            ended_at: row.ended_at,
            resolved_by: row.resolved_by,
            note: row.note,
            version: row.version,
        })
    }
}

/// Selects whole findings by what follows.
macro_rules! findings {
    ($rest:tt $(, $arguments:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select f.id, f.kind, f.subject, f.payment_id, f.trip_id, f.intent_id, f.refund_id, f.currency, f.ours, f.theirs,
                      f.what, f.state, f.repair, f.first_seen_at, f.last_seen_at, f.ended_at, f.resolved_by, f.note, f.version,
                      (select count(*) from reconciliation_repairs r where r.finding_id = f.id) as "repairs_tried!"
               from reconciliation_findings f "# + $rest,
            $($arguments),*
        )
    };
}

/// A finding.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn finding(conn: &mut PgConnection, id: FindingId) -> Result<Option<Finding>> {
    findings!("where f.id = $1", id.uuid()).fetch_optional(conn).await?.map(Finding::try_from).transpose()
}

/// A finding, its row locked.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn lock_finding(conn: &mut PgConnection, id: FindingId) -> Result<Option<Finding>> {
    findings!("where f.id = $1 for no key update of f", id.uuid())
        .fetch_optional(conn)
        .await?
        .map(Finding::try_from)
        .transpose()
}

/// The latest finding of this kind and subject, its row locked.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn latest_finding(
    conn: &mut PgConnection,
    (kind, subject): (Kind, &str),
) -> Result<Option<Finding>> {
    findings!(
        "where f.kind = $1 and f.subject = $2 order by f.id desc limit 1 for no key update of f",
        kind.as_str(),
        subject
    )
    .fetch_optional(conn)
    .await?
    .map(Finding::try_from)
    .transpose()
}

/// Findings that are open, the oldest first: those younger than `after`, at most `limit`.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn open_findings(
    conn: &mut PgConnection,
    after: FindingId,
    limit: i64,
) -> Result<Vec<Finding>> {
    let rows = findings!("where f.state = 'open' and f.id > $1 order by f.id limit $2", after.uuid(), limit);
    rows.fetch_all(conn).await?.into_iter().map(Finding::try_from).collect()
}

/// Which findings a page is of.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct FindingsQuery {
    /// Only those that stand like this.
    pub state: Option<FindingState>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this payment.
    pub payment_id: Option<PaymentId>,
    /// Which page.
    pub page: PageRequest,
}

/// A page of findings, the latest first.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn findings(conn: &mut PgConnection, query: &FindingsQuery) -> Result<Vec<Finding>> {
    let rows = findings!(
        "where ($1::text is null or f.state = $1) and ($2::text is null or f.kind = $2)
           and ($3::uuid is null or f.payment_id = $3) and f.id < $4
         order by f.id desc limit $5",
        query.state.map(FindingState::as_str),
        query.kind.map(Kind::as_str),
        query.payment_id.map(Id::uuid),
        query.page.before,
        query.page.rows(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Finding::try_from).collect()
}

/// How many findings are open, by kind; kinds that have none are left out.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn open_by_kind(conn: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select kind, count(*) as "count!" from reconciliation_findings where state = 'open' group by kind order by kind"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.count)).collect())
}

/// Writes a finding that was not there before.
///
/// # Errors
/// `one_open_finding` if there is one, or the database does not answer.
pub(in crate::ops) async fn insert_finding(
    conn: &mut PgConnection,
    id: FindingId,
    difference: &Difference,
    now: MachineTime,
) -> Result<()> {
    let (ours, theirs) = difference.figures.unzip();
    sqlx::query!(
        "insert into reconciliation_findings (id, kind, subject, payment_id, trip_id, intent_id, refund_id, currency, ours,
                                              theirs, what, state, repair, first_seen_at, last_seen_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', $12, $13, $13)",
        id.uuid(),
        difference.kind.as_str(),
        difference.subject,
        difference.payment_id.map(Id::uuid),
        difference.trip_id.map(Id::uuid),
        difference.intent_id,
        difference.refund_id.map(Id::uuid),
        difference.currency,
        ours,
        theirs,
        difference.what,
        difference.repair.as_str(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes that an open finding was seen again, as it looks now.
///
/// # Errors
/// A conflict if it is not open any more.
pub(in crate::ops) async fn see_finding(
    conn: &mut PgConnection,
    id: FindingId,
    difference: &Difference,
    now: MachineTime,
) -> Result<()> {
    let (ours, theirs) = difference.figures.unzip();
    let done = sqlx::query!(
        "update reconciliation_findings
         set last_seen_at = $2, ours = $3, theirs = $4, what = $5, repair = $6, payment_id = $7, trip_id = $8, intent_id = $9,
             refund_id = $10, currency = $11,
             version = version + case when (ours, theirs, what, repair) is distinct from ($3, $4, $5, $6) then 1 else 0 end
         where id = $1 and state = 'open'",
        id.uuid(),
        now as _,
        ours,
        theirs,
        difference.what,
        difference.repair.as_str(),
        difference.payment_id.map(Id::uuid),
        difference.trip_id.map(Id::uuid),
        difference.intent_id,
        difference.refund_id.map(Id::uuid),
        difference.currency,
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The finding is not open any more."))
}

/// Notes that a finding that was resolved by a person was seen again.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn note_seen(conn: &mut PgConnection, id: FindingId, now: MachineTime) -> Result<()> {
    sqlx::query!("update reconciliation_findings set last_seen_at = $2 where id = $1", id.uuid(), now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// How a finding ends.
#[derive(Debug, Clone)]
pub(in crate::ops) struct End {
    /// The finding.
    pub id: FindingId,
    /// How.
    pub state: FindingState,
    /// When.
    pub at: MachineTime,
    /// Who says so, and why; nobody if it went away.
    pub by: Option<(OpsId, String)>,
    /// The idempotency key under which it was said.
    pub key_id: Option<Uuid>,
}

/// Ends an open finding. False if it has ended already.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn end_finding(conn: &mut PgConnection, end: &End) -> Result<bool> {
    let (by, note) = end.by.as_ref().map(|(by, note)| (by.uuid(), note.as_str())).unzip();
    let done = sqlx::query!(
        "update reconciliation_findings
         set state = $2, ended_at = $3, resolved_by = $4, note = $5, key_id = $6, version = version + 1
         where id = $1 and state = 'open'",
        end.id.uuid(),
        end.state.as_str(),
        end.at as _,
        by,
        note,
        end.key_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
