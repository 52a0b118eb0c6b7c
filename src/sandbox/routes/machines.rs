//! The state machines, for the console's drawings and for whoever wants to draw them otherwise.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::http::{Everybody, Reply, Request};
use crate::sandbox::machines::{self, Machine};
use crate::sandbox::store;

/// The state machines of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MachinesBody {
    /// Those of trips, offers, payments and refunds.
    #[schema(max_items = 8)]
    machines: Vec<MachineBody>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct MachineBody {
    /// What goes through it: `trip`, `offer`, `payment` or `refund`.
    #[schema(value_type = String, max_length = 32, example = "trip")]
    name: &'static str,
    /// The state in which it begins.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    initial: &'static str,
    /// Its states.
    #[schema(max_items = 64)]
    states: Vec<StateBody>,
    /// The ways between them, sorted by the state before.
    #[schema(max_items = 1000)]
    edges: Vec<EdgeBody>,
}

/// A state.
#[derive(Debug, Serialize, ToSchema)]
struct StateBody {
    /// Its name, as in answers.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    name: &'static str,
    /// Whether nothing leads out of it.
    is_end: bool,
}

/// One way from a state to another. There may be several between the same two.
#[derive(Debug, Serialize, ToSchema)]
struct EdgeBody {
    /// The state before.
    #[schema(value_type = String, max_length = 32, example = "requested")]
    from: &'static str,
    /// The state after.
    #[schema(value_type = String, max_length = 32, example = "searching")]
    to: &'static str,
    /// What is done, or what is heard from the provider.
    #[schema(max_length = 255, example = "authorised")]
    by: String,
}

impl From<Machine> for MachineBody {
    fn from(machine: Machine) -> Self {
        let edges = machine.edges.into_iter().map(|edge| EdgeBody { from: edge.from, to: edge.to, by: edge.by });
        Self {
            name: machine.name,
            initial: machine.initial,
            states: machine.states.into_iter().map(|(name, is_end)| StateBody { name, is_end }).collect(),
            edges: edges.collect(),
        }
    }
}

/// Draw the state machines
///
/// The states of trips, offers, payments and refunds, and every way from one to another, asked of the code that decides. The
/// console draws its pictures from this.
#[utoipa::path(get, path = "/v1/sandbox/machines", tag = "sandbox", operation_id = "list_machines", security(()),
    responses((status = 200, description = "The machines", body = MachinesBody)))]
pub(super) async fn machines(request: Request<Everybody>) -> Reply {
    let steps = request.platform.db.read((), |conn, ()| Box::pin(store::trip_steps(conn))).await?;
    let machines = [machines::trip(&steps), machines::offer(), machines::payment(), machines::refund()];
    Ok(HttpResponse::Ok().json(MachinesBody { machines: machines.into_iter().map(MachineBody::from).collect() }))
}
