//! The kernel's own symbol table, for backtraces: which function an address lies in.
//!
//! A host tool writes it into the image. All numbers are little-endian:
//!
//! ```text
//!   "KSYM"  size: u32  symbols: u32  blocks: u32  base: u64
//!   index:  for each block      { address - base: u32, place: u32 }      ascending addresses
//!   blocks: for each symbol     address - the one before: LEB128, 0 for a block's first
//!           (up to 16)          bytes shared with the name before: u8, 0 for a block's first
//!                               bytes that follow: u8, and these bytes
//! ```
//! `size` counts from the magic number on, and so does `place`. Names are demangled, ASCII.

/// The first bytes.
const MAGIC: &[u8; 4] = b"KSYM";

/// Bytes before the index.
const HEADER: usize = 24;

/// The longest name.
const LONGEST: usize = 255;

/// A table in memory; a broken one finds nothing.
pub(crate) struct Symbols<'a> {
    bytes: &'a [u8],
    blocks: usize,
    base: u64,
}

/// A function's name.
pub(crate) struct Name {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Name {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }

    /// Keeps the first `shared` bytes and goes on with `rest`.
    fn change(&mut self, shared: usize, rest: &[u8]) -> Option<()> {
        let len = shared + rest.len();
        self.bytes.get_mut(shared..len)?.copy_from_slice(rest);
        self.len = len;
        Some(())
    }
}

impl<'a> Symbols<'a> {
    /// How many bytes the table that starts with `start` has, if it is one.
    pub(crate) fn size(start: [u8; 8]) -> Option<usize> {
        let [magic @ .., a, b, c, d] = start;
        let size = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        (magic == *MAGIC).then_some(size)
    }

    /// The table in `bytes`; `None` if it holds no symbols.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let size = Self::size(bytes.get(..8)?.try_into().ok()?)?;
        let bytes = bytes.get(..size)?;
        let blocks = word(bytes, 12)?;
        let base = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
        let fits = blocks > 0 && blocks.checked_mul(8)?.checked_add(HEADER)? <= size;
        fits.then_some(Self { bytes, blocks, base })
    }

    /// The last function that starts at or before `address`, and how far behind its start that is.
    pub(crate) fn find(&self, address: u64) -> Option<(Name, u64)> {
        let wanted = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.entry(middle)?.0 <= wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (start, place) = self.entry(low.checked_sub(1)?)?;
        let end = if low < self.blocks { self.entry(low)?.1 } else { self.bytes.len() };
        let mut rest = self.bytes.get(place..end)?;
        let mut name = Name { bytes: [0; LONGEST], len: 0 };
        let mut found = start;
        let mut at = start;
        while !rest.is_empty() {
            at = at.checked_add(leb128(&mut rest)?)?;
            if at > wanted {
                break;
            }
            let [shared, len, tail @ ..] = rest else { return None };
            let (text, tail) = tail.split_at_checked(usize::from(*len))?;
            name.change(usize::from(*shared), text)?;
            (found, rest) = (at, tail);
        }
        Some((name, (wanted - found) as u64))
    }

    /// A block's address, from the base, and its place.
    fn entry(&self, block: usize) -> Option<(usize, usize)> {
        let at = HEADER + 8 * block;
        Some((word(self.bytes, at)?, word(self.bytes, at + 4)?))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

/// Takes a number of at most 35 bits.
fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::any, proptest};

    /// Two blocks: `a` at 0, `ab` at 0x10; `zz` at 0x100.
    fn table() -> Vec<u8> {
        let mut bytes = b"KSYM\0\0\0\0\x03\0\0\0\x02\0\0\0".to_vec();
        bytes.extend(0x1000u64.to_le_bytes());
        bytes.extend([0, 0, 0, 0, 40, 0, 0, 0, 0, 1, 0, 0, 48, 0, 0, 0]);
        bytes.extend(b"\x00\x00\x01a\x10\x01\x01b\x00\x00\x02zz");
        bytes[4] = u8::try_from(bytes.len()).unwrap();
        bytes
    }

    #[test]
    fn finds_the_function_around_an_address() {
        let bytes = table();
        let symbols = Symbols::new(&bytes).unwrap();
        let find = |at| symbols.find(at).map(|(name, by)| (name.as_str().to_owned(), by));
        assert_eq!(find(0xfff), None);
        assert_eq!(find(0x1000), Some(("a".into(), 0)));
        assert_eq!(find(0x100f), Some(("a".into(), 15)));
        assert_eq!(find(0x1010), Some(("ab".into(), 0)));
        assert_eq!(find(0x10ff), Some(("ab".into(), 0xef)));
        assert_eq!(find(0x1101), Some(("zz".into(), 1)));
    }

    #[test]
    fn an_empty_table_is_none() {
        assert!(Symbols::new(b"KSYM\x08\0\0\0").is_none());
        assert!(Symbols::new(b"").is_none());
    }

    proptest! {
        #[test]
        fn damage_is_survived(damage in vec((0..60usize, any::<u8>()), 0..8), at in 0..0x2000u64) {
            let mut bytes = table();
            for (place, value) in damage {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value;
                }
            }
            if let Some((name, _)) = Symbols::new(&bytes).and_then(|symbols| symbols.find(at)) {
                let _ = name.as_str().len();
            }
        }
    }
}
