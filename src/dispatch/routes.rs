//! Why this driver.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::plan::Verdict;
use super::store::{self, Round};
use crate::platform::auth::{Caller, Role};
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::{Refusal, Result};
use crate::platform::http::names::published;
use crate::platform::http::{Participants, Reply, Request};
use crate::platform::ids::{DriverId, OfferId, TripId};
use crate::trips::routes as trip_routes;

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(explain))]
pub struct Api;

/// The room's addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/trips/{trip_id}/explain").route(web::get().to(explain)));
}

/// A round of a trip's search.
#[derive(Debug, Serialize, ToSchema)]
struct RoundBody {
    /// Drivers asked before it.
    #[schema(minimum = 0, maximum = 20)]
    round: i16,
    /// When it was decided (domain time).
    decided_at: DomainTime,
    /// The ring in which a driver was found, metres; the widest if none was.
    #[schema(minimum = 0)]
    radius_m: i32,
    /// The offer that was made; `null` if none was, or if it went to another driver than the one who looks.
    offer_id: Option<OfferId>,
    /// Who was asked; `null` as for the offer.
    driver_id: Option<DriverId>,
    /// How many drivers were looked at.
    #[schema(minimum = 0)]
    considered: usize,
    /// Them. Operators see all; riders and drivers the one who was asked.
    #[schema(value_type = Vec<Candidate>, max_items = 1000)]
    candidates: Vec<Value>,
}

/// A driver who was looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document: candidates are shown as they were stored")]
struct Candidate {
    /// The driver.
    driver_id: DriverId,
    /// To the pickup, over the great circle, metres.
    #[schema(minimum = 0)]
    distance_m: i64,
    /// Estimated drive to the pickup, seconds.
    #[schema(minimum = 0)]
    eta_s: i64,
    /// How old the position was, milliseconds of domain time.
    #[schema(minimum = 0)]
    position_age_ms: i64,
    /// What was made of it.
    verdict: CandidateVerdict,
}

published! {
    /// What was made of a candidate.
    ///
    /// * `chosen`: asked
    /// * `farther`: another one was nearer
    /// * `taken_by_another`: a trip that had been waiting longer asked them
    /// * `asked_before`: declined this trip, let it expire, or was lost to it
    CandidateVerdict = Verdict::ALL.iter().map(|verdict| verdict.as_str());
}

/// The search of a trip.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainBody {
    /// The trip.
    trip_id: TripId,
    /// Its rounds, the first one first.
    #[schema(max_items = 1000)]
    rounds: Vec<RoundBody>,
}

/// See why this driver
///
/// What dispatch looked at in each round of the search, and what it made of it: how far away each candidate was, how old the position, and
/// why one lost. It is what was decided then, not what would be decided now.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/explain", tag = "trips", operation_id = "explain_trip",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "The rounds", body = ExplainBody)))]
async fn explain(request: Request<Participants>) -> Reply {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    let (trip, caller) = input;
    let rounds = request.platform.db.read(input, |conn, (trip, caller)| Box::pin(find(conn, *trip, *caller))).await?;
    let rounds = rounds.into_iter().map(|round| render(round, caller)).collect();
    Ok(HttpResponse::Ok().json(ExplainBody { trip_id: trip, rounds }))
}

async fn find(conn: &mut Conn, trip: TripId, caller: Caller) -> Result<Vec<Round>> {
    let trip = crate::trips::store::find(conn, trip).await?.ok_or_else(|| Refusal::not_found("trip"))?;
    if trip_routes::may_see(&trip, caller) {
        store::rounds(conn, trip.id).await
    } else {
        Err(Refusal::not_found("trip").into())
    }
}

fn render(round: Round, caller: Caller) -> RoundBody {
    let all = match round.considered {
        Value::Array(all) => all,
        _ => Vec::new(),
    };
    let considered = all.len();
    let shown = |candidate: &Value| match caller.role {
        Role::Ops => true,
        Role::Driver => candidate["driver_id"] == caller.to_string(),
        Role::Rider | Role::Gateway => {
            round.driver_id.is_some_and(|driver| candidate["driver_id"] == driver.to_string())
        }
    };
    let is_shown = caller.role != Role::Driver || round.driver_id == caller.driver();
    RoundBody {
        round: round.round,
        decided_at: round.decided_at,
        radius_m: round.radius_m,
        offer_id: round.offer_id.filter(|_| is_shown),
        driver_id: round.driver_id.filter(|_| is_shown),
        considered,
        candidates: all.into_iter().filter(shown).collect(),
    }
}
