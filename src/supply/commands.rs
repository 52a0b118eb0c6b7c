//! Commands on drivers: set and read the availability.

use super::store;
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

/// Returns whether a driver is available; `None` if another transaction has locked the driver's row. Locks the row in share mode,
/// without waiting.
///
/// # Errors
/// If the database does not answer.
pub async fn is_available(tx: &mut Tx, driver: DriverId) -> Result<Option<bool>> {
    store::is_available(tx, driver).await
}

/// Locks the row of a driver who has been online since before `before`. Returns false if they have not.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_online_since(tx: &mut Tx, driver: DriverId, before: DomainTime) -> Result<bool> {
    store::lock_online_since(tx, driver, before).await
}

/// Locks the row of a driver who is online, without waiting. Returns false if they are not, or another transaction has locked the row.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_online_now(tx: &mut Tx, driver: DriverId) -> Result<bool> {
    store::lock_online_now(tx, driver).await
}
