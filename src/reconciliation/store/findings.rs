//! The table of findings.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::differences::Difference;
use super::super::model::findings::Finding;
use super::super::model::kinds::{DifferenceKind, FindingState, RepairRule};
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
    detail: String,
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
        let impossible = |column, value: &str| Error::impossible_row("reconciliation_findings", column, row.id, value);
        Ok(Self {
            state: FindingState::parse(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            difference: Difference {
                kind: DifferenceKind::parse(&row.kind).ok_or_else(|| impossible("kind", &row.kind))?,
                repair: RepairRule::parse(&row.repair).ok_or_else(|| impossible("repair", &row.repair))?,
                subject: row.subject,
                payment_id: row.payment_id,
                trip_id: row.trip_id,
                intent_id: row.intent_id,
                refund_id: row.refund_id,
                currency: row.currency,
                amounts: row.ours.zip(row.theirs),
                detail: row.detail,
            },
            id: row.id,
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

/// Selects findings with their number of repairs; `$rest` is the `where` clause.
macro_rules! findings {
    ($rest:tt $(, $arguments:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select f.id, f.kind, f.subject, f.payment_id, f.trip_id, f.intent_id, f.refund_id, f.currency, f.ours, f.theirs,
                      f.detail, f.state, f.repair, f.first_seen_at, f.last_seen_at, f.ended_at, f.resolved_by, f.note, f.version,
                      (select count(*) from reconciliation_repairs r where r.finding_id = f.id) as "repairs_tried!"
               from reconciliation_findings f "# + $rest,
            $($arguments),*
        )
    };
}

/// Returns a finding.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn finding(conn: &mut PgConnection, id: FindingId) -> Result<Option<Finding>> {
    findings!("where f.id = $1", id.uuid()).fetch_optional(conn).await?.map(Finding::try_from).transpose()
}

/// Returns a finding and locks its row.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn lock_finding(conn: &mut PgConnection, id: FindingId) -> Result<Option<Finding>> {
    findings!("where f.id = $1 for no key update of f", id.uuid())
        .fetch_optional(conn)
        .await?
        .map(Finding::try_from)
        .transpose()
}

/// Returns the latest finding with this kind and subject, and locks its row.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn latest_finding(
    conn: &mut PgConnection,
    (kind, subject): (DifferenceKind, &str),
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

/// Returns the open findings of these payments.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn open_findings_of(
    conn: &mut PgConnection,
    payments: &[Uuid],
) -> Result<Vec<Finding>> {
    let rows = findings!("where f.state = 'open' and f.payment_id = any($1) order by f.id", payments);
    rows.fetch_all(conn).await?.into_iter().map(Finding::try_from).collect()
}

/// Returns at most `limit` open findings that no run has seen since `before`, the least recently seen first. Leaves out those that
/// cannot be looked for: they name neither a payment nor an intent.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn unseen_findings(
    conn: &mut PgConnection,
    before: MachineTime,
    limit: i64,
) -> Result<Vec<Finding>> {
    let rows = findings!(
        "where f.state = 'open' and f.last_seen_at < $1 and (f.payment_id is not null or f.kind = 'unknown_to_us')
         order by f.last_seen_at, f.id limit $2",
        before as _,
        limit,
    );
    rows.fetch_all(conn).await?.into_iter().map(Finding::try_from).collect()
}

/// The findings to list. An absent condition does not restrict.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct FindingsQuery {
    /// Only in this state.
    pub state: Option<FindingState>,
    /// Only of this kind.
    pub kind: Option<DifferenceKind>,
    /// Only of this payment.
    pub payment_id: Option<PaymentId>,
    /// The page.
    pub page: PageRequest,
}

/// Returns a page of findings, the latest first.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn findings(
    conn: &mut PgConnection,
    query: &FindingsQuery,
) -> Result<Vec<Finding>> {
    let rows = findings!(
        "where ($1::text is null or f.state = $1) and ($2::text is null or f.kind = $2)
           and ($3::uuid is null or f.payment_id = $3) and f.id < $4
         order by f.id desc limit $5",
        query.state.map(FindingState::as_str),
        query.kind.map(DifferenceKind::as_str),
        query.payment_id.map(Id::uuid),
        query.page.before,
        query.page.rows(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Finding::try_from).collect()
}

/// Returns the number of open findings by kind, without kinds that have none.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn open_by_kind(conn: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select kind, count(*) as "count!" from reconciliation_findings where state = 'open' group by kind order by kind"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.count)).collect())
}

/// Inserts a new finding.
///
/// # Errors
/// `one_open_finding` if one with this kind and subject is open, or if the database does not answer.
pub(in crate::reconciliation) async fn insert_finding(
    conn: &mut PgConnection,
    id: FindingId,
    difference: &Difference,
    now: MachineTime,
) -> Result<()> {
    let (ours, theirs) = difference.amounts.unzip();
    sqlx::query!(
        "insert into reconciliation_findings (id, kind, subject, payment_id, trip_id, intent_id, refund_id, currency, ours,
                                              theirs, detail, state, repair, first_seen_at, last_seen_at)
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
        difference.detail,
        difference.repair.as_str(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Updates an open finding that was found again.
///
/// # Errors
/// [`Code::Internal`] if it is no longer open.
pub(in crate::reconciliation) async fn update_finding(
    conn: &mut PgConnection,
    id: FindingId,
    difference: &Difference,
    now: MachineTime,
) -> Result<()> {
    let (ours, theirs) = difference.amounts.unzip();
    let done = sqlx::query!(
        "update reconciliation_findings
         set last_seen_at = $2, ours = $3, theirs = $4, detail = $5, repair = $6, payment_id = $7, trip_id = $8, intent_id = $9,
             refund_id = $10, currency = $11,
             version = version + case when (ours, theirs, detail, repair) is distinct from ($3, $4, $5, $6) then 1 else 0 end
         where id = $1 and state = 'open'",
        id.uuid(),
        now as _,
        ours,
        theirs,
        difference.detail,
        difference.repair.as_str(),
        difference.payment_id.map(Id::uuid),
        difference.trip_id.map(Id::uuid),
        difference.intent_id,
        difference.refund_id.map(Id::uuid),
        difference.currency,
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The finding is no longer open."))
}

/// Records that the difference of a resolved finding was seen again.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn record_seen(
    conn: &mut PgConnection,
    id: FindingId,
    now: MachineTime,
) -> Result<()> {
    sqlx::query!("update reconciliation_findings set last_seen_at = $2 where id = $1", id.uuid(), now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// The end of a finding.
#[derive(Debug, Clone)]
pub(in crate::reconciliation) struct CloseFinding {
    /// The finding.
    pub id: FindingId,
    /// Its final state.
    pub state: FindingState,
    /// The current time.
    pub at: MachineTime,
    /// The operator and the reason; `None` if the difference disappeared.
    pub by: Option<(OpsId, String)>,
    /// The idempotency key of the operator's request.
    pub key_id: Option<Uuid>,
}

/// Closes an open finding. Returns whether it was open.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn close_finding(conn: &mut PgConnection, end: &CloseFinding) -> Result<bool> {
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
