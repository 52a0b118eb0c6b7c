//! Starts all actors of a load, and ends them.

use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use tokio::task::JoinSet;

use super::context::{Context, Phase};
use super::driver::Driver;
use super::model::{LoadSpec, Positions};
use super::{gateway, open_loop, operator, rider};

/// Drivers that are created at the same time.
const PREPARING_MAX: usize = 16;

/// All actors of a load, running.
#[derive(Debug)]
pub struct Actors {
    context: Arc<Context>,
    /// Those that end by themselves once the load closes.
    ending: JoinSet<Result<(), BoxError>>,
    /// Those that are ended.
    endless: JoinSet<Result<(), BoxError>>,
    seconds: f64,
    settle: Duration,
}

impl Actors {
    /// Creates all drivers, then starts every actor; that instant is the start of the load.
    ///
    /// # Errors
    /// If the service does not issue the drivers' tokens.
    pub async fn start(context: &Arc<Context>, load: &LoadSpec) -> Result<Self, BoxError> {
        let mut endless = JoinSet::new();
        let mut drivers = Vec::new();
        for group in &load.drivers {
            let group = Arc::new(group.clone());
            let of_group = create(context, &group).await?;
            if group.positions == Positions::Gateway {
                let cars = of_group.iter().map(|driver| Arc::clone(&driver.car)).collect();
                endless.spawn(gateway::run(Arc::clone(context), Arc::clone(&group), cars));
            }
            drivers.extend(of_group);
        }
        context.begin();
        for driver in drivers {
            endless.spawn(async move {
                driver.run().await;
                Ok(())
            });
        }
        let mut ending = JoinSet::new();
        for group in &load.riders {
            let group = Arc::new(group.clone());
            for number in 0..group.count {
                ending.spawn(rider::run(Arc::clone(context), Arc::clone(&group), number as usize));
            }
        }
        for group in &load.requests {
            ending.spawn(open_loop::run(Arc::clone(context), Arc::new(group.clone()), load.seconds));
        }
        for group in &load.operators {
            let group = Arc::new(group.clone());
            for number in 0..group.count {
                endless.spawn(operator::run(Arc::clone(context), Arc::clone(&group), number as usize));
            }
        }
        let settle = Duration::from_secs_f64(load.settle_s.max(0.0));
        Ok(Self { context: Arc::clone(context), ending, endless, seconds: load.seconds, settle })
    }

    /// Waits until the load's time is over.
    pub async fn run(&self) {
        let left = Duration::from_secs_f64((self.seconds - self.context.now_s()).max(0.0));
        tokio::time::sleep(left).await;
    }

    /// Stops all actors at once.
    pub async fn abort(mut self) {
        self.ending.shutdown().await;
        self.endless.shutdown().await;
    }

    /// Ends new trips and waits until the open ones have ended, up to the load's time for it. Stops all actors.
    pub async fn finish(mut self) {
        self.context.recording().seconds = self.context.now_s();
        self.context.phase.send_replace(Phase::Closing);
        let all = async { while self.ending.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(self.settle, all).await;
        self.ending.shutdown().await;
        self.endless.shutdown().await;
    }
}

async fn create(context: &Arc<Context>, group: &Arc<super::model::DriverGroup>) -> Result<Vec<Driver>, BoxError> {
    let mut drivers = Vec::new();
    let numbers: Vec<u32> = (0..group.count).collect();
    for some in numbers.chunks(PREPARING_MAX) {
        let created = some.iter().map(|number| Driver::new(context, group, *number as usize));
        for driver in futures_util::future::join_all(created).await {
            drivers.push(driver?);
        }
    }
    Ok(drivers)
}

/// Whether an operation of a check names an operation of a request. Names of parameters do not matter; `*` at the end matches any rest.
pub fn operation_matches(pattern: &str, operation: &str) -> bool {
    let (pattern, operation) = (without_names(pattern), without_names(operation));
    match pattern.strip_suffix('*') {
        Some(start) => operation.starts_with(start),
        None => pattern == operation,
    }
}

fn without_names(operation: &str) -> String {
    let mut inside = false;
    let keep = |letter: &char| {
        let was_inside = inside;
        inside = (inside || *letter == '{') && *letter != '}';
        !was_inside || *letter == '}'
    };
    operation.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_match_whatever_their_parameters_are_called() {
        assert!(operation_matches("POST /v1/offers/{id}/accept", "POST /v1/offers/{offer_id}/accept"));
        assert!(operation_matches("GET /v1/trips/*", "GET /v1/trips/{trip_id}/receipt"));
        assert!(operation_matches("*", "POST /v1/quotes"));
        assert!(!operation_matches("GET /v1/trips/{id}", "GET /v1/trips/{trip_id}/receipt"));
        assert!(!operation_matches("POST /v1/offers/{id}/accept", "POST /v1/offers/{id}/decline"));
    }
}
