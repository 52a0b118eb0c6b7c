//! HTTP of the ledger: balances as of a time, and postings page by page.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::payments::ledger::{AccountCode, PostingKind};
use crate::payments::store::{self, AccountBalance, LedgerFilter, LedgerLine, PostedEntries};
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::parse_id;
use crate::platform::http::{HttpResult, Operators, Request};
use crate::platform::ids::{DriverId, Id, PaymentId, RefundId, RiderId, TripId};
use crate::platform::page::{Page, PageQuery};

/// The maximum number of postings in the balances of one trip. A trip has a charge, a capture or two, and its refunds.
const TRIP_POSTINGS_MAX: i64 = 100;

/// The accounts that are owned by drivers; the other owned accounts belong to riders.
const DRIVERS_ACCOUNTS: &[&str] = &["driver_payable"];

/// A part of the ledger. An absent parameter does not restrict.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LedgerQuery {
    /// Only this trip, with its postings.
    #[param(value_type = Option<TripId>)]
    trip_id: Option<String>,
    /// Only this account.
    #[param(value_type = Option<AccountCode>)]
    account: Option<String>,
    /// Only accounts of this rider or driver (`rdr_…`, `drv_…`).
    #[param(pattern = "^(rdr|drv)_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    owner_id: Option<String>,
    /// Balances as of this time (domain time), not in the future; now if absent.
    as_of: Option<DomainTime>,
}

/// A part of the postings. An absent parameter does not restrict.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PostingsQuery {
    /// Only this trip.
    #[param(value_type = Option<TripId>)]
    trip_id: Option<String>,
    /// Only postings with an entry of this account.
    #[param(value_type = Option<AccountCode>)]
    account: Option<String>,
    /// Only postings with an entry of this rider or driver (`rdr_…`, `drv_…`): their statement.
    #[param(pattern = "^(rdr|drv)_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
    owner_id: Option<String>,
    /// Only postings up to this time (domain time), not in the future.
    as_of: Option<DomainTime>,
    /// `next_cursor` of the page before; absent for the first page.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
}

/// The balances of a part of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LedgerBody {
    /// The time of the balances (domain time).
    as_of: DomainTime,
    /// The accounts with entries.
    #[schema(max_items = 1000)]
    accounts: Vec<AccountBody>,
    /// The totals by currency. Debits equal credits for the whole ledger, and for a trip.
    #[schema(max_items = 200)]
    totals: Vec<TotalBody>,
    /// The postings of the trip, oldest first; only with `trip_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 100)]
    postings: Option<Vec<PostingBody>>,
}

/// The balance of an account, minor units.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountBody {
    /// The account.
    #[schema(value_type = AccountCode)]
    account: String,
    /// The account's meaning, in English.
    #[schema(max_length = 255)]
    meaning: String,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: String,
    /// The sum of the debits, minor units.
    #[schema(minimum = 0)]
    debits: i64,
    /// The sum of the credits, minor units.
    #[schema(minimum = 0)]
    credits: i64,
    /// Debits minus credits, minor units.
    balance: i64,
}

/// The total of the accounts in one currency, minor units.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct TotalBody {
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: String,
    /// The sum of the debits, minor units.
    #[schema(minimum = 0)]
    debits: i64,
    /// The sum of the credits, minor units.
    #[schema(minimum = 0)]
    credits: i64,
    /// Debits minus credits, minor units.
    balance: i64,
}

/// A posting. Its entries sum to zero.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PostingBody {
    /// The posting's id.
    id: Uuid,
    /// Why the posting was made.
    #[schema(value_type = PostingKind)]
    kind: String,
    /// The source: the trip of a charge, the refund of a refund, the payment of the others.
    #[schema(pattern = "^(trip|pay|rfd)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "pay_01jd3n9k8zf4r8x2v5m7q0w1ev")]
    source_id: String,
    /// The trip.
    trip_id: TripId,
    /// When (domain time).
    posted_at: DomainTime,
    /// The entries, at least two.
    #[schema(min_items = 2, max_items = 100)]
    entries: Vec<EntryBody>,
}

/// A line of a posting.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryBody {
    /// The account.
    #[schema(value_type = AccountCode)]
    account: String,
    /// The rider or driver who owns the account; `null` for an account of the platform.
    #[schema(pattern = "^(rdr|drv)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "rdr_01jd3n4c2sf9v7x0b3m6q8w1ek")]
    owner_id: Option<String>,
    /// Minor units, never zero; positive: a debit, negative: a credit.
    amount: i64,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: String,
}

/// Get the ledger's balances
///
/// Returns the balance of each account, now or as of a time: `account=driver_payable&owner_id=drv_…` is what was owed to a driver then. With
/// `trip_id` also the trip's postings. All is read in one snapshot, so debits equal credits.
#[utoipa::path(get, path = "/v1/ops/ledger", tag = "ops", operation_id = "get_ledger", security(("ops" = [])), params(LedgerQuery),
    responses((status = 200, description = "The balances, and a trip's postings", body = LedgerBody)))]
pub(super) async fn ledger(request: Request<Operators>) -> HttpResult {
    let LedgerQuery { trip_id, account, owner_id, as_of } = request.query()?;
    let now = request.platform.clock.domain();
    let filter = filter(RawFilter { trip_id, account, owner_id, as_of }, now)?;
    let of = filter.as_of.unwrap_or(now);
    let (accounts, postings) = request
        .platform
        .db
        .snapshot(filter, |conn, filter| {
            Box::pin(async move {
                check_account(conn, filter).await?;
                let accounts = store::accounts(conn, filter).await?;
                if filter.trip_id.is_none() {
                    return Ok((accounts, None));
                }
                let mut postings = store::postings(conn, filter, Uuid::max(), TRIP_POSTINGS_MAX).await?;
                postings.reverse();
                Ok((accounts, Some(postings)))
            })
        })
        .await?;
    Ok(HttpResponse::Ok().json(LedgerBody {
        as_of: of,
        totals: totals(&accounts),
        accounts: accounts.into_iter().map(AccountBody::from).collect(),
        postings: postings.map(|postings| postings.into_iter().map(PostingBody::from).collect()),
    }))
}

/// List the ledger's postings
///
/// The latest first. With `owner_id` the list is the statement of a rider or a driver. Postings never change, and later ones do not move a
/// page.
#[utoipa::path(get, path = "/v1/ops/ledger/postings", tag = "ops", operation_id = "list_postings", security(("ops" = [])),
    params(PostingsQuery),
    responses((status = 200, description = "A page of postings", body = Page<PostingBody>)))]
pub(super) async fn postings(request: Request<Operators>) -> HttpResult {
    let PostingsQuery { trip_id, account, owner_id, as_of, cursor, limit } = request.query()?;
    let page = PageQuery { cursor, limit }.read()?;
    let filter = filter(RawFilter { trip_id, account, owner_id, as_of }, request.platform.clock.domain())?;
    let postings = request
        .platform
        .db
        .read((filter, page), |conn, (filter, page)| {
            Box::pin(async move {
                check_account(conn, filter).await?;
                store::postings(conn, filter, page.before, page.rows()).await
            })
        })
        .await?;
    let page = Page::new(postings, page, |posting| posting.id);
    let items: Vec<PostingBody> = page.items.into_iter().map(PostingBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// The parameters that both routes have.
struct RawFilter {
    trip_id: Option<String>,
    account: Option<String>,
    owner_id: Option<String>,
    as_of: Option<DomainTime>,
}

fn filter(raw: RawFilter, now: DomainTime) -> Result<LedgerFilter> {
    if raw.as_of.is_some_and(|as_of| as_of > now) {
        let detail = format!("must not be in the future: it is {now}");
        return Err(Refusal::new(Code::InvalidRequest, format!("`as_of` {detail}.")).field("as_of", detail).into());
    }
    Ok(LedgerFilter {
        trip_id: raw.trip_id.map(|text| parse_id(&text, "trip_id")).transpose()?,
        owner_id: raw.owner_id.map(|text| parse_owner(&text, raw.account.as_deref())).transpose()?,
        account: raw.account,
        as_of: raw.as_of,
    })
}

/// Reads an owner. The account decides whether it is a rider or a driver; without an account either is possible.
fn parse_owner(text: &str, account: Option<&str>) -> Result<Uuid> {
    let is_driver = match account {
        Some(account) => DRIVERS_ACCOUNTS.contains(&account),
        None => text.starts_with("drv_"),
    };
    match is_driver {
        true => Ok(parse_id::<DriverId>(text, "owner_id")?.uuid()),
        false => Ok(parse_id::<RiderId>(text, "owner_id")?.uuid()),
    }
}

/// Refuses an unknown account, and an owner of an account of the platform.
async fn check_account(conn: &mut Conn, filter: &LedgerFilter) -> Result<()> {
    let Some(account) = &filter.account else { return Ok(()) };
    let chart = store::chart(conn).await?;
    let refused = |name: &str, detail: String| {
        Refusal::new(Code::InvalidRequest, format!("`{name}` {detail}.")).field(name, detail).into()
    };
    match chart.iter().find(|row| row.code == *account) {
        None => {
            let known: Vec<_> = chart.iter().map(|row| row.code.as_str()).collect();
            Err(refused("account", format!("must be one of {}", known.join(", "))))
        }
        Some(row) if !row.owned && filter.owner_id.is_some() => {
            Err(refused("owner_id", format!("must be absent: {account} is an account of the platform")))
        }
        Some(_) => Ok(()),
    }
}

fn totals(accounts: &[AccountBalance]) -> Vec<TotalBody> {
    let mut totals: BTreeMap<&str, TotalBody> = BTreeMap::new();
    for account in accounts {
        let total = totals.entry(&account.currency).or_default();
        total.currency.clone_from(&account.currency);
        total.debits += account.debits;
        total.credits += account.credits;
        total.balance = total.debits - total.credits;
    }
    totals.into_values().collect()
}

impl From<AccountBalance> for AccountBody {
    fn from(account: AccountBalance) -> Self {
        let AccountBalance { code, meaning, currency, debits, credits } = account;
        Self { account: code, meaning, currency, debits, credits, balance: debits - credits }
    }
}

impl From<PostedEntries> for PostingBody {
    fn from(posting: PostedEntries) -> Self {
        let source_id = match posting.source.as_str() {
            "refund" => RefundId::from(posting.source_id).to_string(),
            "payment" => PaymentId::from(posting.source_id).to_string(),
            _ => TripId::from(posting.source_id).to_string(),
        };
        let entries = posting.entries.into_iter().map(EntryBody::from).collect();
        let PostedEntries { id, kind, trip_id, posted_at, .. } = posting;
        Self { id, kind, source_id, trip_id, posted_at, entries }
    }
}

impl From<LedgerLine> for EntryBody {
    fn from(entry: LedgerLine) -> Self {
        let LedgerLine { account, owner_id, amount, currency } = entry;
        let owner = |id| match DRIVERS_ACCOUNTS.contains(&account.as_str()) {
            true => DriverId::from(id).to_string(),
            false => RiderId::from(id).to_string(),
        };
        Self { owner_id: owner_id.map(owner), account, amount, currency }
    }
}
