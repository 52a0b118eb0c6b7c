//! The state machines, for the console's drawings.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::state_machines::{self, StateMachine};
use crate::sandbox::store;

/// The state machines of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StateMachinesBody {
    /// The state machines of trips, offers, payments and refunds.
    #[schema(max_items = 8)]
    state_machines: Vec<StateMachineBody>,
}

/// A state machine.
#[derive(Debug, Serialize, ToSchema)]
struct StateMachineBody {
    /// The object: `trip`, `offer`, `payment` or `refund`.
    #[schema(value_type = String, max_length = 32, example = "trip")]
    name: &'static str,
    /// The initial state.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    initial: &'static str,
    /// Its states.
    #[schema(max_items = 64)]
    states: Vec<StateBody>,
    /// The transitions, ordered by the state before.
    #[schema(max_items = 1000)]
    edges: Vec<EdgeBody>,
}

/// A state.
#[derive(Debug, Serialize, ToSchema)]
struct StateBody {
    /// The name, as in other responses.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    name: &'static str,
    /// Whether it is terminal.
    is_end: bool,
}

/// A transition. Two states may have several.
#[derive(Debug, Serialize, ToSchema)]
struct EdgeBody {
    /// The state before.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    from: &'static str,
    /// The state after.
    #[schema(value_type = String, max_length = 32, example = "searching")]
    to: &'static str,
    /// The command, or the observation of the provider.
    #[schema(max_length = 255, example = "authorized")]
    by: String,
}

impl From<StateMachine> for StateMachineBody {
    fn from(machine: StateMachine) -> Self {
        let edges = machine.edges.into_iter().map(|edge| EdgeBody { from: edge.from, to: edge.to, by: edge.by });
        Self {
            name: machine.name,
            initial: machine.initial,
            states: machine.states.into_iter().map(|(name, is_end)| StateBody { name, is_end }).collect(),
            edges: edges.collect(),
        }
    }
}

/// List the state machines
///
/// The states and transitions of trips, offers, payments and refunds, derived from the code that decides. The console draws them.
#[utoipa::path(get, path = "/v1/sandbox/state_machines", tag = "sandbox", operation_id = "list_state_machines", security(()),
    responses((status = 200, description = "The state machines", body = StateMachinesBody)))]
pub(super) async fn list(request: Request<Public>) -> HttpResult {
    let transitions = request.platform.db.read((), |conn, ()| Box::pin(store::trip_transitions(conn))).await?;
    let state_machines = [
        state_machines::trip(&transitions),
        state_machines::offer(),
        state_machines::payment(),
        state_machines::refund(),
    ];
    Ok(HttpResponse::Ok()
        .json(StateMachinesBody { state_machines: state_machines.into_iter().map(StateMachineBody::from).collect() }))
}
