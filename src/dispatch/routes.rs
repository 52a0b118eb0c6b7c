//! Why this driver.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::store::{self, Round};
use crate::platform::auth::{Caller, Role};
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::{Refusal, Result};
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
    round: i16,
    decided_at: DomainTime,
    /// The ring in which a driver was found, metres; the widest if none was.
    radius_m: i32,
    offer_id: Option<OfferId>,
    driver_id: Option<DriverId>,
    /// How many drivers were looked at.
    considered: usize,
    /// Them: driver, `distance_m`, `eta_s`, `position_age_ms`, and a `verdict` that says why one lost. Operators see all,
    /// riders and drivers the one who was asked.
    candidates: Vec<Value>,
}

/// The search of a trip.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainBody {
    trip_id: TripId,
    rounds: Vec<RoundBody>,
}

/// See why this driver
///
/// What dispatch looked at in each round, and what it made of it.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/explain", tag = "trips", operation_id = "explain_trip",
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
