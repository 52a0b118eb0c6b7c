//! A gateway: reports the positions of a whole group in batches.

use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use serde_json::{Value, json};

use super::caller::{Call, Caller};
use super::context::Context;
use super::driver::Car;
use super::model::DriverGroup;

/// The most positions of a batch.
const BATCH_MAX: usize = 500;

/// The shortest interval.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Reports all online cars of a group at each interval, until the run ends.
///
/// # Errors
/// If the service issues no token.
pub(super) async fn run(context: Arc<Context>, group: Arc<DriverGroup>, cars: Vec<Arc<Car>>) -> Result<(), BoxError> {
    let caller = Caller::new(&context, &format!("{} gateway", group.name), 0, "gateway").await?;
    let every = context.real(group.position_every_s).max(EVERY_MIN);
    loop {
        let online: Vec<_> = cars.iter().filter(|car| car.is_online()).collect();
        for batch in online.chunks(BATCH_MAX) {
            let items: Vec<Value> = batch.iter().map(|car| item(car, &context, group.position_every_s)).collect();
            let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
            let response = caller.send(&Call::new("POST /v1/locations", "").body(Value::Array(items))).await;
            if !response.is_success() {
                context.count_positions(&group.name, "refused", count);
            }
            for verdict in response.body["items"].as_array().into_iter().flatten() {
                context.count_positions(&group.name, verdict["verdict"].as_str().unwrap_or_default(), 1);
            }
        }
        tokio::time::sleep(every).await;
    }
}

fn item(car: &Car, context: &Context, domain_s: f64) -> Value {
    let mut item = car.report(context, domain_s);
    item["driver_id"] = json!(car.subject);
    item
}
