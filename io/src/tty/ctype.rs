//! What kind of character a byte is, in Latin-1, as Linux's line discipline sees it.

/// A control character: below space, and DEL.
#[inline]
pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// A letter or digit; letters of Latin-1 count (0xd7 and 0xf7 are signs).
pub(super) fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || (byte >= 0xc0 && byte != 0xd7 && byte != 0xf7)
}

/// The capital of a letter. Like Linux, sharp s and y with diaeresis, which have none in Latin-1,
/// go the way of the other small letters.
pub(super) fn to_upper(byte: u8) -> u8 {
    let is_small = byte.is_ascii_lowercase() || (byte >= 0xdf && byte != 0xf7);
    if is_small { byte - 0x20 } else { byte }
}

/// The small letter of a capital.
pub(super) fn to_lower(byte: u8) -> u8 {
    let is_capital = byte.is_ascii_uppercase() || (0xc0..=0xde).contains(&byte) && byte != 0xd7;
    if is_capital { byte + 0x20 } else { byte }
}

/// A byte of a UTF-8 character other than its first.
#[inline]
pub(super) fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
