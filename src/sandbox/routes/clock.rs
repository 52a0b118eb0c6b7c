//! Domain time, faster or set ahead.

use actix_web::HttpResponse;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::Platform;
use crate::platform::clock::{Anchor, DomainTime, MachineTime};
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::request::parse_id;
use crate::platform::http::{Everybody, Reply, Request};
use crate::platform::ids::{Id, OfferId, PaymentId, QuoteId};
use crate::platform::wake::Wake;
use crate::sandbox::store::{self, Moment, Waiting};

/// The fastest domain time.
const SCALE_MAX: u32 = 1_000;

/// The farthest jump of domain time: a year.
const ADVANCE_MAX_S: i64 = 31_536_000;

/// How far past a moment a jump goes.
const PAST: TimeDelta = TimeDelta::seconds(1);

/// Both clocks.
#[derive(Debug, Serialize, ToSchema)]
struct ClockBody {
    /// Machine time: what the computer's clock says.
    real: MachineTime,
    /// Domain time at that moment.
    domain: DomainTime,
    /// Domain seconds per real second.
    #[schema(minimum = 1, maximum = 1000)]
    scale: u32,
    /// The moment that was jumped past, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    passed: Option<Moment>,
}

fn body(platform: &Platform, passed: Option<Moment>) -> ClockBody {
    let anchor = platform.clock.anchor();
    let real = platform.clock.machine();
    ClockBody { real, domain: anchor.domain_at(real), scale: anchor.scale, passed }
}

/// Read the clocks
///
/// Offers, deadlines and waiting live in domain time; leases, time-outs and tokens in machine time.
#[utoipa::path(get, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "get_clock", security(()),
    responses((status = 200, description = "Both clocks", body = ClockBody)))]
pub(super) async fn clock(request: Request<Everybody>) -> Reply {
    Ok(HttpResponse::Ok().json(body(&request.platform, None)))
}

/// How to set the domain clock.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClockRequest {
    /// From now on, so many domain seconds per real second.
    #[schema(minimum = 1, maximum = 1000)]
    scale: Option<u32>,
    /// Jump so many domain seconds ahead. There is no way back.
    #[schema(minimum = 0, maximum = 31_536_000)]
    advance_s: Option<i64>,
    /// Jump one second past the next moment that this trip, offer, payment or quote waits for: its id. No driver counts as silent
    /// for it.
    #[schema(pattern = "^(trip|ofr|pay|quo)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ofr_01jd7zq8w3e9mvd1ab2c3d4e5f")]
    past: Option<String>,
}

/// Set the domain clock
///
/// Faster, or ahead (`{"advance_s": 15}` lets every offer that is out expire), or just past a time-out, for everybody in the sandbox.
/// Machine time is never touched. It is no command with a key: jumping twice is jumping twice as far.
#[utoipa::path(post, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "set_clock", request_body = ClockRequest,
    security(()), responses((status = 200, description = "Both clocks, from now on", body = ClockBody)))]
pub(super) async fn set_clock(request: Request<Everybody>) -> Reply {
    let wanted: ClockRequest = request.json()?;
    check(&wanted)?;
    let waiting = wanted.past.as_deref().map(waiting).transpose()?;
    let platform = &request.platform;
    let input = (platform.clone(), wanted, waiting);
    let (anchor, passed) = platform
        .db
        .transaction(input, |tx, (platform, wanted, waiting)| {
            Box::pin(async move {
                // From the row and not from this process's copy: of two jumps at once the second goes on from the first.
                let current = store::lock_anchor(tx).await?;
                let real = platform.clock.machine().max(current.real);
                let now = current.domain_at(real);
                let mut domain = now + TimeDelta::seconds(wanted.advance_s.unwrap_or(0));
                let mut passed = None;
                if let Some(waiting) = waiting {
                    let moment = store::next_moment(tx, *waiting, now).await?.ok_or_else(nothing_pending)?;
                    (domain, passed) = (now.max(moment.at + PAST), Some(moment));
                    store::listen_from(tx, domain).await?;
                }
                let anchor = Anchor { real, domain, scale: wanted.scale.unwrap_or(current.scale) };
                store::set_anchor(tx, anchor).await?;
                [Wake::Clock, Wake::Deadlines, Wake::Dispatch, Wake::Payments]
                    .into_iter()
                    .for_each(|wake| tx.wake(wake));
                Ok((anchor, passed))
            })
        })
        .await?;
    platform.clock.follow(anchor);
    Ok(HttpResponse::Ok().json(body(platform, passed)))
}

fn nothing_pending() -> Refusal {
    Refusal::new(
        Code::NothingPending,
        "It waits for no moment of domain time. Leases, back-off and the provider's time-outs are machine time, which nobody sets.",
    )
}

/// What an id in `past` names.
fn waiting(id: &str) -> Result<Waiting> {
    let is = |prefix: &str| id.split('_').next() == Some(prefix);
    Ok(match () {
        () if is(OfferId::PREFIX) => Waiting::Offer(parse_id(id, "/past")?),
        () if is(PaymentId::PREFIX) => Waiting::Payment(parse_id(id, "/past")?),
        () if is(QuoteId::PREFIX) => Waiting::Quote(parse_id(id, "/past")?),
        () => Waiting::Trip(parse_id(id, "/past")?),
    })
}

fn check(wanted: &ClockRequest) -> Result<(), Error> {
    let invalid = |field: &str, detail: String| {
        Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(format!("/{field}"), detail)
    };
    if wanted.scale.is_some_and(|scale| !(1..=SCALE_MAX).contains(&scale)) {
        return Err(invalid("scale", format!("must be 1 to {SCALE_MAX}")).into());
    }
    if wanted.advance_s.is_some_and(|seconds| !(0..=ADVANCE_MAX_S).contains(&seconds)) {
        return Err(invalid("advance_s", format!("must be 0 to {ADVANCE_MAX_S}")).into());
    }
    if wanted.advance_s.is_some() && wanted.past.is_some() {
        return Err(invalid("past", "goes without `advance_s`".to_owned()).into());
    }
    Ok(())
}
