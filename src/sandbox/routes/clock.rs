//! The settable domain clock.

use actix_web::{HttpResponse, web};
use chrono::{Datelike, TimeDelta};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::platform::Platform;
use crate::platform::clock::{Anchor, DomainTime, MachineTime};
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::request::parse_id;
use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::ids::{Id, OfferId, PaymentId, QuoteId};
use crate::platform::wake::Wake;
use crate::sandbox::Sandbox;
use crate::sandbox::live::SPEED_MAX;
use crate::sandbox::store::{self, Deadline, DeadlineOwner};

/// The longest jump of domain time: a year.
const ADVANCE_MAX_S: i64 = 31_536_000;

/// The last year that a jump may reach. The last that the API can show is 9999.
const YEAR_MAX: i32 = 9_000;

/// How far past a deadline a jump goes.
const PAST: TimeDelta = TimeDelta::seconds(1);

/// Both clocks.
#[derive(Debug, Serialize, ToSchema)]
struct ClockBody {
    /// Machine time: the computer's clock.
    real: MachineTime,
    /// Domain time at that moment.
    domain: DomainTime,
    /// Domain seconds per real second.
    #[schema(minimum = 1, maximum = 1000)]
    scale: u32,
    /// The highest scale that drivers, streams and matching keep up with on this machine, as measured. A higher one can be set, and is
    /// not offered by the console.
    #[schema(minimum = 1, maximum = 1000)]
    sustainable_scale: u32,
    /// How late positions arrive on average, milliseconds of machine time; null before a measurement.
    #[schema(minimum = 0, maximum = 3_600_000)]
    position_delay_ms: Option<u32>,
    /// The deadline that the clock jumped past, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    passed: Option<Deadline>,
    /// The next deadline of the object in `of`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<Deadline>,
}

fn body(platform: &Platform, sandbox: &Sandbox, passed: Option<Deadline>) -> ClockBody {
    let anchor = platform.clock.anchor();
    let real = platform.clock.machine();
    let limit = sandbox.live.speed_limit();
    ClockBody {
        real,
        domain: anchor.domain_at(real),
        scale: anchor.scale,
        sustainable_scale: limit.speed,
        position_delay_ms: limit.delay_ms,
        passed,
        next: None,
    }
}

/// Whose deadline to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ClockQuery {
    /// The id of a trip, offer, payment or quote: the response also has its next deadline.
    #[param(pattern = "^(trip|ofr|pay|quo)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ofr_01jd7zq8w3e9mvd1ab2c3d4e5f")]
    of: Option<String>,
}

/// Get both clocks
///
/// Offers, deadlines and waiting use domain time; leases, time-outs and tokens use machine time.
#[utoipa::path(get, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "get_clock", params(ClockQuery), security(()),
    responses((status = 200, description = "Both clocks", body = ClockBody)))]
pub(super) async fn clock(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let platform = &request.platform;
    let query: ClockQuery = request.query()?;
    let owner = query.of.as_deref().map(|id| deadline_owner(id, "of")).transpose()?;
    let next = match owner {
        Some(owner) => {
            let input = (owner, platform.clock.domain());
            let read = platform.db.read(input, |conn, (owner, now)| Box::pin(store::next_deadline(conn, *owner, *now)));
            read.await?
        }
        None => None,
    };
    Ok(HttpResponse::Ok().json(ClockBody { next, ..body(platform, &sandbox, None) }))
}

/// A change of the domain clock.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    /// Domain seconds per real second from now on.
    #[schema(minimum = 1, maximum = 1000)]
    scale: Option<u32>,
    /// Domain seconds to jump ahead. The clock never goes back.
    #[schema(minimum = 0, maximum = 31_536_000)]
    advance_s: Option<i64>,
    /// The id of a trip, offer, payment or quote: jump one second past its next deadline. The jump makes no driver unresponsive.
    #[schema(pattern = "^(trip|ofr|pay|quo)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ofr_01jd7zq8w3e9mvd1ab2c3d4e5f")]
    past: Option<String>,
}

/// Set the domain clock
///
/// Faster, ahead (`{"advance_s": 15}` expires every pending offer), or just past a deadline, for every caller. Machine time does not change.
/// The operation takes no idempotency key: two jumps go twice as far.
#[utoipa::path(post, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "set_clock", request_body = ClockRequest,
    security(()), responses((status = 200, description = "Both clocks after the change", body = ClockBody)))]
pub(super) async fn set_clock(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let change: ClockRequest = request.json()?;
    check(&change)?;
    let owner = change.past.as_deref().map(|id| deadline_owner(id, "/past")).transpose()?;
    let platform = &request.platform;
    let input = (platform.clone(), change, owner);
    let (anchor, passed) = platform
        .db
        .transaction(input, |tx, (platform, change, owner)| {
            Box::pin(async move {
                // Read from the row, not from this process's copy: the second of two concurrent jumps starts from the first.
                let current = store::lock_anchor(tx).await?;
                let real = platform.clock.machine().max(current.real);
                let now = current.domain_at(real);
                let mut domain = now + TimeDelta::seconds(change.advance_s.unwrap_or(0));
                if domain > now && domain.utc().year() > YEAR_MAX {
                    return Err(too_far().into());
                }
                let mut passed = None;
                if let Some(owner) = owner {
                    let deadline = store::next_deadline(tx, *owner, now).await?.ok_or_else(nothing_pending)?;
                    (domain, passed) = (now.max(deadline.at + PAST), Some(deadline));
                    store::count_silence_from(tx, domain).await?;
                }
                let anchor = Anchor { real, domain, scale: change.scale.unwrap_or(current.scale) };
                store::set_anchor(tx, anchor).await?;
                [Wake::Clock, Wake::Deadlines, Wake::Dispatch, Wake::Settlement]
                    .into_iter()
                    .for_each(|wake| tx.wake(wake));
                Ok((anchor, passed))
            })
        })
        .await?;
    platform.clock.set_if_newer(anchor);
    Ok(HttpResponse::Ok().json(body(platform, &sandbox, passed)))
}

fn too_far() -> Refusal {
    let detail = format!("must not lead past the year {YEAR_MAX}");
    Refusal::new(Code::InvalidRequest, format!("`advance_s` {detail}.")).field("/advance_s", detail)
}

fn nothing_pending() -> Refusal {
    Refusal::new(
        Code::NothingPending,
        "The object has no deadline in domain time. Leases, retries and provider time-outs use machine time, which cannot be set.",
    )
}

/// Returns the object that an id in `field` names.
fn deadline_owner(id: &str, field: &str) -> Result<DeadlineOwner> {
    let is = |prefix: &str| id.split('_').next() == Some(prefix);
    Ok(match () {
        () if is(OfferId::PREFIX) => DeadlineOwner::Offer(parse_id(id, field)?),
        () if is(PaymentId::PREFIX) => DeadlineOwner::Payment(parse_id(id, field)?),
        () if is(QuoteId::PREFIX) => DeadlineOwner::Quote(parse_id(id, field)?),
        () => DeadlineOwner::Trip(parse_id(id, field)?),
    })
}

fn check(change: &ClockRequest) -> Result<(), Error> {
    let invalid = |field: &str, detail: String| {
        Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(format!("/{field}"), detail)
    };
    if change.scale.is_some_and(|scale| !(1..=SPEED_MAX).contains(&scale)) {
        return Err(invalid("scale", format!("must be 1 to {SPEED_MAX}")).into());
    }
    if change.advance_s.is_some_and(|seconds| !(0..=ADVANCE_MAX_S).contains(&seconds)) {
        return Err(invalid("advance_s", format!("must be 0 to {ADVANCE_MAX_S}")).into());
    }
    if change.advance_s.is_some() && change.past.is_some() {
        return Err(invalid("past", "must not be combined with `advance_s`".to_owned()).into());
    }
    Ok(())
}
