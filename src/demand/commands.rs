//! The commands on demand: merge counts, set and delete a multiplier.

use uuid::Uuid;

use super::model::Override;
use super::sketch::Sketch;
use super::store;
use crate::geo::cells::Cell;
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Error, Refusal, Result};
use crate::platform::ids::OpsId;

/// Merges counts into those of all processes.
///
/// # Errors
/// [`Error::StaleWrite`] if another process has written the first row meanwhile; if the database does not answer.
pub async fn merge(tx: &mut Tx, counts: &Sketch, now: DomainTime) -> Result<()> {
    store::lock_sketch(tx).await?;
    let (version, mut sketch) = store::sketch(tx).await?.unwrap_or_default();
    sketch.merge(counts);
    sketch.compact(now);
    if store::replace_sketch(tx, &sketch, version).await? { Ok(()) } else { Err(Error::StaleWrite("demand_sketch")) }
}

/// Sets the multiplier of a cell, and ends the one that was set before.
///
/// # Errors
/// If the database does not answer.
pub async fn set_override(tx: &mut Tx, id: Uuid, new: &Override) -> Result<()> {
    store::lock_cell(tx, new.cell).await?;
    store::end_override(tx, new.cell, new.set_by, new.set_at).await?;
    store::insert_override(tx, id, new).await
}

/// Deletes the multiplier that was set for a cell.
///
/// # Errors
/// 404 if there is none.
pub async fn delete_override(tx: &mut Tx, cell: Cell, by: OpsId, now: DomainTime) -> Result<()> {
    if store::end_override(tx, cell, by, now).await? {
        return Ok(());
    }
    Err(Refusal::not_found("override").into())
}
