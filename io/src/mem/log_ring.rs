//! The bytes of the kernel log: records in a ring, the oldest ones overwritten.

use framework::Instant;

/// Bytes kept (`SYSLOG_ACTION_SIZE_BUFFER`).
pub(super) const SIZE: usize = 1 << 17;
/// The most text of a record, in bytes.
pub(super) const TEXT: usize = 1024;
/// A record's header: length of the text, priority, time in nanoseconds.
const HEADER: usize = 2 + 1 + 8;

/// A record, copied out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Its number.
    pub(super) sequence: u64,
    /// Facility times 8, plus level.
    pub(super) priority: u8,
    pub(super) time: Instant,
    pub(super) text: [u8; TEXT],
    pub(super) len: usize,
}

impl Record {
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

/// Records one after the other; positions count on, the index wraps.
#[derive(Debug)]
pub(super) struct LogRing {
    bytes: [u8; SIZE],
    /// Position and number of the oldest record.
    first: usize,
    first_sequence: u64,
    /// Position and number of the next record.
    end: usize,
    end_sequence: u64,
}

/// A place in the ring, valid while its record is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    position: usize,
    pub(super) sequence: u64,
}

impl Place {
    /// Where the first record ever goes.
    pub(super) const START: Self = Self { position: 0, sequence: 0 };
}

impl LogRing {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; SIZE], first: 0, first_sequence: 0, end: 0, end_sequence: 0 }
    }

    /// Adds a record; text beyond [`TEXT`] bytes is cut off.
    pub(super) fn push(&mut self, priority: u8, time: Instant, text: &[u8]) {
        let text = &text[..text.len().min(TEXT)];
        let needed = HEADER + text.len();
        while self.end.wrapping_sub(self.first) + needed > SIZE {
            self.first = self.after(self.first);
            self.first_sequence += 1;
        }
        // The length is at most TEXT.
        self.put(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
        self.put(&[priority]);
        self.put(&time.as_nanos().to_le_bytes());
        self.put(text);
        self.end_sequence += 1;
    }

    /// The oldest record's place.
    pub(super) fn first(&self) -> Place {
        Place { position: self.first, sequence: self.first_sequence }
    }

    /// The place of the next record to come.
    pub(super) fn end(&self) -> Place {
        Place { position: self.end, sequence: self.end_sequence }
    }

    /// Whether the record at `place` was overwritten.
    pub(super) fn is_lost(&self, place: Place) -> bool {
        place.sequence < self.first_sequence
    }

    /// `place`, or the oldest record's if it was overwritten.
    pub(super) fn kept(&self, place: Place) -> Place {
        if self.is_lost(place) { self.first() } else { place }
    }

    /// The record at `place`, which is kept, and the place after it; `None` at the end.
    pub(super) fn get(&self, place: Place) -> Option<(Record, Place)> {
        if place.sequence >= self.end_sequence {
            return None;
        }
        let mut record = Record {
            sequence: place.sequence,
            priority: self.priority(place),
            time: self.time(place),
            text: [0; TEXT],
            len: self.text_len(place.position),
        };
        let start = place.position.wrapping_add(HEADER);
        for (offset, byte) in record.text[..record.len].iter_mut().enumerate() {
            *byte = self.bytes[start.wrapping_add(offset) % SIZE];
        }
        let position = self.after(place.position);
        Some((record, Place { position, sequence: place.sequence + 1 }))
    }

    /// The sum of `measure(priority, time, bytes of text)` over all records from `place` on.
    pub(super) fn sum(&self, place: Place, measure: impl Fn(u8, Instant, usize) -> usize) -> usize {
        let mut total = 0;
        let mut place = self.kept(place);
        while place.sequence < self.end_sequence {
            let len = self.text_len(place.position);
            total += measure(self.priority(place), self.time(place), len);
            place = Place { position: self.after(place.position), sequence: place.sequence + 1 };
        }
        total
    }

    fn priority(&self, place: Place) -> u8 {
        self.bytes[place.position.wrapping_add(2) % SIZE]
    }

    fn time(&self, place: Place) -> Instant {
        Instant::from_nanos(u64::from_le_bytes(self.array(place.position.wrapping_add(3))))
    }

    fn after(&self, position: usize) -> usize {
        position.wrapping_add(HEADER + self.text_len(position))
    }

    fn text_len(&self, position: usize) -> usize {
        usize::from(u16::from_le_bytes(self.array(position)))
    }

    fn array<const N: usize>(&self, position: usize) -> [u8; N] {
        core::array::from_fn(|offset| self.bytes[position.wrapping_add(offset) % SIZE])
    }

    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[self.end % SIZE] = *byte;
            self.end = self.end.wrapping_add(1);
        }
    }
}
