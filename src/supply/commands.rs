//! Commands on drivers: set the availability; read availability and saved position.

use super::store;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::DriverId;

/// The driver's profile in an availability request: complete the first time, later only the changes.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Vehicle {
    pub name: Option<String>,
    pub class: Option<VehicleClass>,
    pub plate: Option<String>,
}

/// Sets the availability of a driver, and locks the driver's row.
///
/// # Errors
/// [`Code::InvalidRequest`] if the driver is new and lacks name, class or plate.
pub async fn set_available(
    tx: &mut Tx,
    driver: DriverId,
    available: bool,
    vehicle: &Vehicle,
    now: DomainTime,
) -> Result<()> {
    if store::update_driver(tx, driver, available, vehicle, now).await? {
        return Ok(());
    }
    match vehicle {
        Vehicle { name: Some(name), class: Some(class), plate: Some(plate) } => {
            store::insert_driver(tx, driver, available, (name, *class, plate), now).await
        }
        _ => {
            let missing = [
                ("/name", vehicle.name.is_none()),
                ("/class", vehicle.class.is_none()),
                ("/plate", vehicle.plate.is_none()),
            ];
            let refusal = Refusal::new(Code::InvalidRequest, "A new driver must send name, class and plate.");
            let named = missing.iter().filter(|(_, missing)| *missing);
            Err(named.fold(refusal, |refusal, (pointer, _)| refusal.field(*pointer, "is missing")).into())
        }
    }
}

/// Returns whether a driver is available. Locks the driver's row in share mode.
///
/// # Errors
/// If the database does not answer.
pub async fn is_available(tx: &mut Tx, driver: DriverId) -> Result<bool> {
    store::is_available(tx, driver).await
}

/// Returns the saved position of a driver.
///
/// # Errors
/// If the database does not answer.
pub async fn last_position(tx: &mut Tx, driver: DriverId) -> Result<Option<Position>> {
    store::last_position(tx, driver).await
}
