//! Files with holes: where their data goes. Four ways of writing it down are in use.

use super::{BLOCK, number, pax};

/// The most pieces of one file.
pub(super) const MAX_SEGMENTS: usize = 256 * 1024;

/// A piece of a file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where in the file it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// Where a pair begins in the header of old GNU archives, and how many there are.
const OLD_PAIRS: usize = 386;
const OLD_PAIR: usize = 24;
const OLD_COUNT: usize = 4;
/// In each block after the header there are more.
const NEXT_COUNT: usize = 21;

/// Reads the pairs of a header or of a block after it; says whether another block follows.
pub(super) fn old(block: &[u8; BLOCK], header: bool, into: &mut Vec<Segment>) -> Option<bool> {
    let (start, count) = if header { (OLD_PAIRS, OLD_COUNT) } else { (0, NEXT_COUNT) };
    let end = start + count * OLD_PAIR;
    for pair in block[start..end].chunks_exact(OLD_PAIR) {
        let (offset, length) = pair.split_at(OLD_PAIR / 2);
        if offset[0] == 0 {
            break;
        }
        push(into, number::read(offset)?.try_into().ok()?, number::read(length)?.try_into().ok()?)?;
    }
    Some(block[end] != 0)
}

/// Reads the comma-separated map of PAX format 0.1 (and of 0.0, joined).
pub(super) fn list(text: &[u8]) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut numbers = text.split(|byte| *byte == b',');
    while let Some(offset) = numbers.next() {
        push(&mut segments, pax::number(offset)?, pax::number(numbers.next()?)?)?;
    }
    Some(segments)
}

/// Reads the map at the beginning of the data of PAX format 1.0, line by line: `next` returns
/// the number on the next line.
pub(super) fn lines<E>(
    mut next: impl FnMut() -> Result<u64, E>,
    too_many: impl FnOnce() -> E,
) -> Result<Vec<Segment>, E> {
    let count = next()?;
    if count > MAX_SEGMENTS as u64 {
        return Err(too_many());
    }
    let mut segments = Vec::new();
    for _ in 0..count {
        segments.push(Segment { offset: next()?, length: next()? });
    }
    Ok(segments)
}

fn push(into: &mut Vec<Segment>, offset: u64, length: u64) -> Option<()> {
    if into.len() >= MAX_SEGMENTS {
        return None;
    }
    into.push(Segment { offset, length });
    Some(())
}

/// Says whether the segments are in order, within the file, and hold `stored` bytes.
pub(super) fn is_sound(segments: &[Segment], size: u64, stored: u64) -> bool {
    let mut end = 0;
    let mut total = 0_u64;
    for segment in segments {
        let Some(next) = segment.offset.checked_add(segment.length) else { return false };
        if segment.offset < end || next > size {
            return false;
        }
        end = next;
        total += segment.length;
    }
    total == stored
}
