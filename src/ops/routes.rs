//! `GET /v1/ops/audit`, `/v1/ops/ledger`, `/v1/ops/reconciliation`: for operators only.

use actix_web::{HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

use super::audit::Auditor;
use super::model::Difference;
use super::report::{Captured, ProviderCheck, Report};
use super::resolve;
use super::store::{self, Account, Attention, Entry};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::http::request::parse_id;
use crate::platform::http::{Operators, Reply, Request};
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId};

/// Differences, and things that wait for a person, that one answer lists.
const LISTED_MAX: usize = 100;

/// A driver who has not been heard of for so long, with a rider in the car, is a person's concern.
const SILENT_ON_THE_WAY: TimeDelta = TimeDelta::minutes(15);

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(audit, ledger, reconciliation, resolve::payment, resolve::refund))]
pub struct Api;

/// The room's addresses. They need a [`web::Data`] of the [`Auditor`].
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/v1/ops/audit").route(web::get().to(audit)))
        .service(web::resource("/v1/ops/ledger").route(web::get().to(ledger)))
        .service(web::resource("/v1/ops/reconciliation").route(web::get().to(reconciliation)))
        .service(web::resource("/v1/ops/payments/{payment_id}/resolve").route(web::post().to(resolve::payment)))
        .service(web::resource("/v1/ops/refunds/{refund_id}/resolve").route(web::post().to(resolve::refund)));
}

/// Is everything as it must be?
///
/// Checks the nine invariants on live data, in one snapshot, and then against the provider's books. It reads everything there is
/// and runs one at a time: ask after a change or every few minutes, not every second.
#[utoipa::path(get, path = "/v1/ops/audit", tag = "ops", operation_id = "get_audit",
    responses((status = 200, description = "The report; `clean` is the answer", body = Report)))]
async fn audit(_request: Request<Operators>, auditor: web::Data<Auditor>) -> Reply {
    Ok(HttpResponse::Ok().json(auditor.run(None).await?))
}

/// Which part of the ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LedgerQuery {
    /// Only this trip, with its postings.
    #[param(value_type = Option<TripId>)]
    trip_id: Option<String>,
}

/// The ledger's accounts, of all trips or of one.
#[derive(Debug, Serialize, ToSchema)]
struct LedgerBody {
    /// Each account that anything was posted to. The balances of one currency sum to zero.
    accounts: Vec<AccountBody>,
    /// With `trip_id`: the trip's postings, in order. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    postings: Option<Vec<PostingBody>>,
}

/// What an account holds, minor units.
#[derive(Debug, Serialize, ToSchema)]
struct AccountBody {
    #[schema(example = "rider_receivable")]
    account: String,
    /// What it is for.
    meaning: String,
    #[schema(example = "USD")]
    currency: String,
    debits: i64,
    credits: i64,
    /// Debits less credits.
    balance: i64,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> Self {
        let Account { code, meaning, currency, debits, credits } = account;
        Self { account: code, meaning, currency, debits, credits, balance: debits - credits }
    }
}

/// One posting: its entries sum to zero.
#[derive(Debug, Serialize, ToSchema)]
struct PostingBody {
    id: Uuid,
    /// `charge`, `tip`, `capture`, `refund` or `write_off`.
    kind: String,
    /// The trip that was charged, the refund that was made, or the payment that the rest is about.
    source_id: String,
    /// When (domain time).
    posted_at: DomainTime,
    entries: Vec<EntryBody>,
}

/// One line of a posting.
#[derive(Debug, Serialize, ToSchema)]
struct EntryBody {
    #[schema(example = "clearing")]
    account: String,
    /// Whose, where the account is kept per rider or driver.
    owner_id: Option<String>,
    /// Debit if positive, credit if negative; minor units.
    amount: i64,
    currency: String,
}

/// What is on the ledger
///
/// The balance of every account; with `trip_id` those of one trip, and how they came about.
#[utoipa::path(get, path = "/v1/ops/ledger", tag = "ops", operation_id = "get_ledger", params(LedgerQuery),
    responses((status = 200, description = "Accounts, and a trip's postings", body = LedgerBody)))]
async fn ledger(request: Request<Operators>) -> Reply {
    let query: LedgerQuery = request.query()?;
    let trip_id: Option<TripId> = query.trip_id.map(|text| parse_id(&text, "trip_id")).transpose()?;
    let body = request
        .platform
        .db
        .snapshot(trip_id, |conn, trip_id| {
            Box::pin(async move {
                let accounts = store::accounts(conn, *trip_id).await?.into_iter().map(AccountBody::from).collect();
                let postings = match trip_id {
                    Some(trip_id) => Some(group(store::postings(conn, *trip_id).await?)),
                    None => None,
                };
                Ok(LedgerBody { accounts, postings })
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(body))
}

/// Entries, which come in the order of their postings, as postings.
fn group(entries: Vec<Entry>) -> Vec<PostingBody> {
    let mut postings: Vec<PostingBody> = Vec::new();
    for entry in entries {
        let line = EntryBody {
            owner_id: entry.owner_id.map(|id| owner(&entry.account, id)),
            account: entry.account,
            amount: entry.amount,
            currency: entry.currency,
        };
        match postings.last_mut().filter(|posting| posting.id == entry.posting_id) {
            Some(posting) => posting.entries.push(line),
            None => postings.push(PostingBody {
                id: entry.posting_id,
                source_id: source(&entry.kind, entry.source_id),
                kind: entry.kind,
                posted_at: entry.posted_at,
                entries: vec![line],
            }),
        }
    }
    postings
}

fn owner(account: &str, id: Uuid) -> String {
    match account {
        "driver_payable" => DriverId::from(id).to_string(),
        _ => RiderId::from(id).to_string(),
    }
}

fn source(kind: &str, id: Uuid) -> String {
    match kind {
        "charge" => TripId::from(id).to_string(),
        "refund" => RefundId::from(id).to_string(),
        _ => PaymentId::from(id).to_string(),
    }
}

/// Our books against the provider's, and what waits for a person.
#[derive(Debug, Serialize, ToSchema)]
struct ReconciliationBody {
    /// When our side was read (machine time).
    checked_at: MachineTime,
    /// Whether the provider answered. If not, there is nothing in `differences`, and that means nothing.
    provider: ProviderCheck,
    /// What was captured in all.
    captured: Captured,
    /// Trips that are over and have unfinished work; they are compared when it is done.
    unsettled: u64,
    /// Where the books differ.
    differences: Listed<DifferenceBody>,
    /// Payments, refunds, trips and deliveries that do not go on by themselves.
    attention: Listed<AttentionBody>,
}

/// The first hundred of a list, and how long it is.
#[derive(Debug, Serialize, ToSchema)]
struct Listed<T> {
    /// How many there are.
    total: u64,
    /// The first of them.
    items: Vec<T>,
}

/// Something that the two books do not agree on.
#[derive(Debug, Serialize, ToSchema)]
struct DifferenceBody {
    /// Our payment. Absent: we know of none.
    payment_id: Option<PaymentId>,
    trip_id: Option<TripId>,
    /// The provider's name for it. Absent: there is none.
    intent_id: Option<String>,
    #[schema(example = "captured 1000 here, 900 at the provider")]
    what: String,
}

impl From<Difference> for DifferenceBody {
    fn from(difference: Difference) -> Self {
        let Difference { payment_id, trip_id, intent_id, what } = difference;
        Self { payment_id, trip_id, intent_id, what }
    }
}

/// Something that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
struct AttentionBody {
    #[schema(example = "pay_01jd3n9k8zf4r8x2v5m7q0w1et")]
    subject: String,
    trip_id: Option<TripId>,
    /// Why; reads on from the subject.
    what: String,
}

impl From<Attention> for AttentionBody {
    fn from(attention: Attention) -> Self {
        let Attention { subject, trip_id, what } = attention;
        Self { subject, trip_id, what }
    }
}

/// What differs from the provider's books, and what waits for a person
///
/// Compares every payment of a settled trip with the provider's intents, both ways. Reads all of the provider's books.
#[utoipa::path(get, path = "/v1/ops/reconciliation", tag = "ops", operation_id = "get_reconciliation",
    responses((status = 200, description = "Differences, and the operators' queue", body = ReconciliationBody)))]
async fn reconciliation(request: Request<Operators>, auditor: web::Data<Auditor>) -> Reply {
    let books = auditor.reconcile().await?;
    let silent_since = request.platform.clock.domain() - SILENT_ON_THE_WAY;
    let limit = i64::try_from(LISTED_MAX).unwrap_or(i64::MAX);
    let (waiting, attention) =
        request.platform.db.read((), move |conn, ()| Box::pin(store::attention(conn, silent_since, limit))).await?;
    Ok(HttpResponse::Ok().json(ReconciliationBody {
        checked_at: books.checked_at,
        provider: ProviderCheck::from_checked(books.is_checked),
        captured: Captured { service: books.ours, provider: books.theirs },
        unsettled: books.unsettled,
        differences: Listed {
            total: u64::try_from(books.differences.len()).unwrap_or(u64::MAX),
            items: books.differences.into_iter().take(LISTED_MAX).map(DifferenceBody::from).collect(),
        },
        attention: Listed { total: waiting, items: attention.into_iter().map(AttentionBody::from).collect() },
    }))
}
