//! DUMP payloads with a trailer that the server accepts, so that what is broken in them reaches the module.

use crc::{CRC_64_REDIS, Crc};

/// Two bytes of RDB version and eight of CRC64 end a DUMP payload.
const TRAILER_BYTES: usize = 10;

/// What a payload holds, and the RDB version it was written by.
pub fn payload_body(payload: &[u8]) -> (&[u8], [u8; 2]) {
    let (body, trailer) = payload.split_at(payload.len() - TRAILER_BYTES);
    (body, [trailer[0], trailer[1]])
}

/// A payload of `body`, with the checksum made for it.
pub fn forge_payload(body: &[u8], version: [u8; 2]) -> Vec<u8> {
    let mut payload = [body, &version].concat();
    let checksum = Crc::<u64>::new(&CRC_64_REDIS).checksum(&payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}
