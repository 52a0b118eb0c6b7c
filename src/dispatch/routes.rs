//! The explanation of a trip's matching.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::decision::{CandidateRow, CycleRow};
use super::store::{self, MatchCycle};
use crate::platform::auth::{Caller, Role};
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::Result;
use crate::platform::http::{HttpResult, Participants, Request};
use crate::platform::ids::{DriverId, OfferId, TripId};

/// The module's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(explain))]
pub struct Api;

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/trips/{trip_id}/explain").route(web::get().to(explain)));
}

/// One match cycle of a trip.
#[derive(Debug, Serialize, ToSchema)]
struct MatchCycleBody {
    /// Offers the trip had before this cycle.
    #[schema(minimum = 0, maximum = 20)]
    offers_before: i16,
    /// When it was decided (domain time).
    decided_at: DomainTime,
    /// The offer; `null` if no driver was found. A driver sees only their own.
    offer_id: Option<OfferId>,
    /// The driver with the offer; `null` as for the offer.
    driver_id: Option<DriverId>,
    /// The cycle that decided; `null` if it was before these were recorded.
    cycle: Option<CycleRow>,
    /// Domain time since the trip was first searched for, in milliseconds; `null` as for the cycle.
    #[schema(minimum = 0)]
    waited_ms: Option<i64>,
    /// What leaving the trip without a driver adds to the sum that the cycle minimizes, in milliseconds. It grows with the time waited;
    /// `null` as for the cycle.
    #[schema(minimum = 0)]
    skip_cost_ms: Option<i64>,
    /// What this search waited for until its offer; `null` without an offer.
    search_time: Option<SearchTime>,
    /// The number of candidates considered, and of busy and late drivers named.
    #[schema(minimum = 0)]
    considered: usize,
    /// The candidates. Operators see all of them; a rider sees only the one with the offer, a driver only themselves, and neither sees
    /// another trip.
    #[schema(value_type = Vec<CandidateRow>, max_items = 1000)]
    candidates: Vec<Value>,
}

/// The real time of a search until its offer, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
struct SearchTime {
    /// Until a driver could be found.
    #[schema(minimum = 0)]
    for_driver_ms: i64,
    /// From then on: the cycle before, this cycle, and writing the offer.
    #[schema(minimum = 0)]
    for_service_ms: i64,
}

/// How a trip was matched.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainBody {
    /// The trip.
    trip_id: TripId,
    /// The latest pickup (domain time): a driver who would come later gets no offer, and the search ends then. `null` without a limit.
    pickup_by: Option<DomainTime>,
    /// Its match cycles, oldest first.
    #[schema(max_items = 1000)]
    match_cycles: Vec<MatchCycleBody>,
}

/// Explain a match
///
/// Returns the match cycles of the trip that decided about an offer: how large the cycle was, how long the trip had waited, the
/// candidates with their drive and cost, and why each was chosen or not. If another trip got a nearer driver, `exchange` has what both
/// trips cost by the plan, and what they would cost if they exchanged drivers. A decision about a trip without a free driver names the
/// nearest busy ones, with the trips that they have, and the nearest free ones who would come after `pickup_by`. These are the decisions
/// as they were made; nothing is computed anew. Of the cycles without an offer in a row the last one is kept.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/explain", tag = "trips", operation_id = "explain_trip",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "The match cycles", body = ExplainBody)))]
async fn explain(request: Request<Participants>) -> HttpResult {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    let (trip_id, caller) = input;
    let (pickup_by, cycles) =
        request.platform.db.read(input, |conn, (trip, caller)| Box::pin(find(conn, *trip, *caller))).await?;
    let match_cycles = cycles.into_iter().map(|cycle| render(cycle, caller)).collect();
    Ok(HttpResponse::Ok().json(ExplainBody { trip_id, pickup_by, match_cycles }))
}

async fn find(conn: &mut Conn, trip: TripId, caller: Caller) -> Result<(Option<DomainTime>, Vec<MatchCycle>)> {
    let found = crate::trips::store::find_visible(conn, trip, caller).await?;
    Ok((found.pickup_by, store::match_cycles(conn, trip).await?))
}

fn render(cycle: MatchCycle, caller: Caller) -> MatchCycleBody {
    let all = match cycle.candidates {
        Value::Array(all) => all,
        _ => Vec::new(),
    };
    let considered = all.len();
    let is_visible = |candidate: &Value| match caller.role {
        Role::Ops => true,
        Role::Driver => candidate["driver_id"] == caller.to_string(),
        Role::Rider | Role::Gateway => {
            cycle.driver_id.is_some_and(|driver| candidate["driver_id"] == driver.to_string())
        }
    };
    let shows_offer = caller.role != Role::Driver || cycle.driver_id == caller.driver();
    let search_time = cycle.waited_for_driver_ms.zip(cycle.waited_for_service_ms);
    MatchCycleBody {
        cycle: cycle.cycle.map(|cycle| cycle.0),
        waited_ms: cycle.waited_ms,
        skip_cost_ms: cycle.skip_cost_ms,
        search_time: search_time.map(|(for_driver_ms, for_service_ms)| SearchTime { for_driver_ms, for_service_ms }),
        offers_before: cycle.offers_before,
        decided_at: cycle.decided_at,
        offer_id: cycle.offer_id.filter(|_| shows_offer),
        driver_id: cycle.driver_id.filter(|_| shows_offer),
        considered,
        candidates: all
            .into_iter()
            .filter(is_visible)
            .map(|candidate| without_other_trips(candidate, caller))
            .collect(),
    }
}

/// Removes what a candidate says of another trip, which only operators may see: its id, and by the costs how long its rider has waited.
fn without_other_trips(mut candidate: Value, caller: Caller) -> Value {
    if let (Value::Object(fields), true) = (&mut candidate, caller.role != Role::Ops) {
        fields.remove("taken_by");
        fields.remove("exchange");
    }
    candidate
}
