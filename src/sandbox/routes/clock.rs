//! Domain time, faster or set ahead.

use actix_web::HttpResponse;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::Platform;
use crate::platform::clock::{Anchor, DomainTime, MachineTime};
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::http::{Everybody, Reply, Request};
use crate::platform::wake::Wake;
use crate::sandbox::store;

/// The fastest domain time.
const SCALE_MAX: u32 = 1_000;

/// The farthest jump of domain time: a year.
const ADVANCE_MAX_S: i64 = 31_536_000;

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
}

fn body(platform: &Platform) -> ClockBody {
    let anchor = platform.clock.anchor();
    let real = platform.clock.machine();
    ClockBody { real, domain: anchor.domain_at(real), scale: anchor.scale }
}

/// Read the clocks
///
/// Offers, deadlines and waiting live in domain time; leases, time-outs and tokens in machine time.
#[utoipa::path(get, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "get_clock", security(()),
    responses((status = 200, description = "Both clocks", body = ClockBody)))]
pub(super) async fn clock(request: Request<Everybody>) -> Reply {
    Ok(HttpResponse::Ok().json(body(&request.platform)))
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
}

/// Set the domain clock
///
/// Faster, or past a time-out, for everybody in the sandbox: `{"advance_s": 15}` lets every offer that is out expire. Machine time is never
/// touched. It is no command with a key: jumping twice is jumping twice as far.
#[utoipa::path(post, path = "/v1/sandbox/clock", tag = "sandbox", operation_id = "set_clock", request_body = ClockRequest, security(()),
    responses((status = 200, description = "Both clocks, from now on", body = ClockBody)))]
pub(super) async fn set_clock(request: Request<Everybody>) -> Reply {
    let wanted: ClockRequest = request.json()?;
    check(&wanted)?;
    let platform = &request.platform;
    let current = platform.clock.anchor();
    let real = platform.clock.machine();
    let anchor = Anchor {
        real,
        domain: current.domain_at(real) + TimeDelta::seconds(wanted.advance_s.unwrap_or(0)),
        scale: wanted.scale.unwrap_or(current.scale),
    };
    platform
        .db
        .transaction(anchor, |tx, anchor| {
            Box::pin(async move {
                store::set_anchor(tx, *anchor).await?;
                [Wake::Clock, Wake::Deadlines, Wake::Dispatch, Wake::Payments]
                    .into_iter()
                    .for_each(|wake| tx.wake(wake));
                Ok(())
            })
        })
        .await?;
    platform.clock.set_anchor(anchor);
    Ok(HttpResponse::Ok().json(body(platform)))
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
    Ok(())
}
