//! The format of the index's checkpoint: the last known positions in binary chunks, ordered by driver.

use chrono::DateTime;
use uuid::Uuid;

use super::LastKnown;
use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, Id};

/// The drivers per chunk: 48 kB, so that one driver's position is read quickly.
pub const CHUNK_DRIVERS: usize = 1_000;

/// The first byte of a chunk. A process that finds another one reads the chunk as invalid.
const FORMAT: u8 = 1;

/// Driver, latitude, longitude, recorded and received time.
const RECORD_BYTES: usize = 16 + 4 * 8;

/// A part of a checkpoint: up to [`CHUNK_DRIVERS`] positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The first driver. The chunk of a driver is the last one whose first driver is not greater.
    pub first_driver: DriverId,
    /// The encoded positions.
    pub positions: Vec<u8>,
}

/// A chunk that this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk of the checkpoint has another format")]
pub struct InvalidChunk;

/// Encodes positions.
pub fn encode(mut positions: Vec<LastKnown>) -> Vec<Chunk> {
    positions.sort_unstable_by_key(|last| last.driver);
    positions.chunks(CHUNK_DRIVERS).filter_map(encode_chunk).collect()
}

fn encode_chunk(positions: &[LastKnown]) -> Option<Chunk> {
    let first_driver = positions.first()?.driver;
    let mut bytes = Vec::with_capacity(1 + positions.len() * RECORD_BYTES);
    bytes.push(FORMAT);
    for LastKnown { driver, position, recorded_at, received_at } in positions {
        bytes.extend_from_slice(driver.uuid().as_bytes());
        bytes.extend_from_slice(&position.lat().to_be_bytes());
        bytes.extend_from_slice(&position.lon().to_be_bytes());
        bytes.extend_from_slice(&recorded_at.utc().timestamp_micros().to_be_bytes());
        bytes.extend_from_slice(&received_at.utc().timestamp_micros().to_be_bytes());
    }
    Some(Chunk { first_driver, positions: bytes })
}

/// Decodes the positions of a chunk, in the order of their drivers.
///
/// # Errors
/// [`InvalidChunk`] if the chunk has another format.
pub fn decode(chunk: &[u8]) -> Result<Vec<LastKnown>, InvalidChunk> {
    let Some((&FORMAT, records)) = chunk.split_first() else { return Err(InvalidChunk) };
    let (records, []) = records.as_chunks::<RECORD_BYTES>() else { return Err(InvalidChunk) };
    records.iter().map(|record| decode_record(record).ok_or(InvalidChunk)).collect()
}

fn decode_record(record: &[u8; RECORD_BYTES]) -> Option<LastKnown> {
    let (driver, fields) = record.split_first_chunk::<16>()?;
    let (&[lat, lon, recorded_us, received_us], []) = fields.as_chunks::<8>() else { return None };
    let time = |us| DateTime::from_timestamp_micros(i64::from_be_bytes(us)).map(DomainTime::new);
    Some(LastKnown {
        driver: DriverId::from(Uuid::from_bytes(*driver)),
        position: Position::new(f64::from_be_bytes(lat), f64::from_be_bytes(lon)).ok()?,
        recorded_at: time(recorded_us)?,
        received_at: time(received_us)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> DomainTime {
        DomainTime::new(DateTime::from_timestamp_micros(us).unwrap())
    }

    fn last_known(number: u128) -> LastKnown {
        let driver = DriverId::from(Uuid::from_u128(number));
        let position = Position::new(-33.868_819_1, 151.209_295_3).unwrap();
        LastKnown { driver, position, recorded_at: at(-1), received_at: at(1_700_000_000_123_456) }
    }

    #[test]
    fn positions_of_any_number_round_trip_in_the_order_of_their_drivers() {
        for count in [0, 1, 999, 1_000, 1_001, 2_500] {
            let positions: Vec<_> = (0..count).map(|number| last_known(number * 7)).collect();
            let chunks = encode(positions.iter().rev().copied().collect());
            assert_eq!(chunks.len(), positions.len().div_ceil(CHUNK_DRIVERS));
            let decoded: Vec<_> = chunks.iter().map(|chunk| decode(&chunk.positions).unwrap()).collect();
            assert!(chunks.iter().zip(&decoded).all(|(chunk, positions)| chunk.first_driver == positions[0].driver));
            assert_eq!(decoded.concat(), positions);
        }
    }

    #[test]
    fn damaged_chunk_is_invalid() {
        let positions = encode(vec![last_known(1), last_known(2)]).remove(0).positions;
        let mut other_format = positions.clone();
        other_format[0] = 2;
        let mut not_a_number = positions.clone();
        not_a_number[17] = 0xff;
        not_a_number[18] = 0xff;
        for damaged in [&[][..], &positions[1..], &positions[..positions.len() - 1], &other_format, &not_a_number] {
            assert_eq!(decode(damaged), Err(InvalidChunk));
        }
        assert_eq!(decode(&[FORMAT]), Ok(Vec::new()));
    }
}
