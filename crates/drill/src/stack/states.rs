//! How trips and offers stand in the database: what their actors could not see is added to the recording.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use launcher::BoxError;
use sqlx::{Connection, FromRow, PgConnection};

use crate::load::recording::{DriverEventRecord, OfferRecord};
use crate::load::{Context, DriverName};

/// The letters of an id: Crockford's base 32.
const LETTERS: &[u8] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Letters of a UUID in base 32.
const ID_LETTERS: u32 = 26;

const TRIPS: &str = "select id::text, state::text from trips where id = any ($1::text[]::uuid[])";

const OFFERS: &str = "
    select id::text, trip_id::text, driver_id::text, status::text, created_at
      from offers where driver_id = any ($1::text[]::uuid[]) and created_at >= $2";

const EVENTS: &str = "
    select driver_id::text, seq, type as event, at from driver_events
     where driver_id = any ($1::text[]::uuid[]) and at >= $2";

/// A payment or refund that waits for the provider, or for the next try.
const OPEN_MONEY: &str = "
    select exists (select from payments where state in ('authorizing', 'capturing', 'voiding'))
        or exists (select from refunds where state = 'pending')";

/// How long a stream has been open, real seconds, before events count: those of the first moment may be in its snapshot only.
const STREAM_BEGINS_S: f64 = 1.0;

/// An offer in the database.
#[derive(Debug, FromRow)]
struct OfferRow {
    id: String,
    trip_id: String,
    driver_id: String,
    status: String,
    created_at: DateTime<Utc>,
}

/// An event of a driver in the database.
#[derive(Debug, FromRow)]
struct EventRow {
    driver_id: String,
    seq: i64,
    event: String,
    at: DateTime<Utc>,
}

/// Reads how the trips and offers since a time of the load stand in the database, and adds it to the recording. Offers and events
/// that their drivers did not receive are added.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn read_states(url: &str, context: &Context, from_s: f64) -> Result<(), BoxError> {
    let trips: Vec<String> = {
        let recording = context.recording();
        recording.trips.iter().filter(|trip| trip.at_s >= from_s).filter_map(|trip| uuid_text(&trip.id)).collect()
    };
    let drivers: BTreeMap<String, DriverName> =
        context.driver_names().into_iter().filter_map(|(id, name)| Some((uuid_text(&id)?, name))).collect();
    let ids: Vec<String> = drivers.keys().cloned().collect();
    let since = context.domain_start() + milliseconds(from_s.max(-60.0) * f64::from(context.target.time_scale));
    let mut conn = PgConnection::connect(url).await?;
    let trips: Vec<(String, String)> = sqlx::query_as(TRIPS).bind(&trips).fetch_all(&mut conn).await?;
    let offers: Vec<OfferRow> = sqlx::query_as(OFFERS).bind(&ids).bind(since).fetch_all(&mut conn).await?;
    let streams: BTreeMap<String, f64> =
        context.streams().into_iter().filter_map(|(id, opened_s)| Some((uuid_text(&id)?, opened_s))).collect();
    let listeners: Vec<String> = streams.keys().cloned().collect();
    let events: Vec<EventRow> = match listeners.is_empty() {
        true => Vec::new(),
        false => sqlx::query_as(EVENTS).bind(&listeners).bind(since).fetch_all(&mut conn).await?,
    };
    conn.close().await?;
    let trips: BTreeMap<String, String> = trips.into_iter().collect();
    let mut recording = context.recording();
    for trip in &mut recording.trips {
        if let Some(state) = uuid_text(&trip.id).and_then(|id| trips.get(&id)) {
            state.clone_into(&mut trip.state);
        }
    }
    let known: BTreeMap<String, usize> =
        recording.offers.iter().enumerate().map(|(number, offer)| (offer.id.clone(), number)).collect();
    for row in offers {
        let id = api_id("ofr", &row.id);
        if let Some(number) = known.get(&id) {
            recording.offers[*number].end = row.status;
        } else if let Some(driver) = drivers.get(&row.driver_id) {
            recording.offers.push(not_received(id, row, driver, context));
        }
    }
    let known: BTreeSet<i64> = recording.driver_events.iter().map(|event| event.seq).collect();
    for EventRow { driver_id, seq, event, at } in events.into_iter().filter(|row| !known.contains(&row.seq)) {
        let at_s = load_time(at, context);
        let has_stream = streams.get(&driver_id).is_some_and(|opened_s| at_s >= opened_s + STREAM_BEGINS_S);
        if let Some(name) = drivers.get(&driver_id).filter(|_| has_stream) {
            let (group, driver) = (name.group.clone(), name.name.clone());
            recording.driver_events.push(DriverEventRecord { at_s, group, driver, seq, event, received: false });
        }
    }
    Ok(())
}

/// Whether a payment or refund is on its way to the provider.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn is_money_open(url: &str) -> Result<bool, BoxError> {
    let mut conn = PgConnection::connect(url).await?;
    let is_open = sqlx::query_scalar(OPEN_MONEY).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(is_open)
}

/// The real second of the load of a domain time.
fn load_time(at: DateTime<Utc>, context: &Context) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a run")]
    let since_start_s = (at - context.domain_start()).num_milliseconds() as f64 / 1_000.0;
    since_start_s / f64::from(context.target.time_scale)
}

/// The record of an offer that its driver did not receive.
fn not_received(id: String, row: OfferRow, driver: &DriverName, context: &Context) -> OfferRecord {
    let at_s = load_time(row.created_at, context);
    OfferRecord {
        id,
        trip: api_id("trip", &row.trip_id),
        group: driver.group.clone(),
        driver: driver.name.clone(),
        at_s,
        received: false,
        answer: String::new(),
        status: 0,
        end: row.status,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "milliseconds of a run")]
fn milliseconds(seconds: f64) -> TimeDelta {
    TimeDelta::milliseconds((seconds * 1_000.0) as i64)
}

/// The UUID of an id of the API: a prefix, `_`, and 26 letters.
fn uuid_text(id: &str) -> Option<String> {
    let (_, letters) = id.rsplit_once('_')?;
    let mut number = 0_u128;
    for letter in letters.bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        number = number << 5 | value as u128;
    }
    let hex = format!("{number:032x}");
    Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// The id of the API for a UUID.
fn api_id(prefix: &str, uuid: &str) -> String {
    let number = u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap_or_default();
    let letter = |place: u32| char::from(LETTERS[(number >> (5 * place) & 31) as usize]);
    let letters: String = (0..ID_LETTERS).rev().map(letter).collect();
    format!("{prefix}_{letters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_api_are_uuids_in_another_base() {
        // The example of the TypeID specification.
        let (id, uuid) = ("prefix_01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(uuid_text(id).as_deref(), Some(uuid));
        assert_eq!(api_id("prefix", uuid), id);
        assert_eq!(uuid_text("nothing"), None);
    }
}
