//! What the host's CPU can do.

/// Whether string instructions are fast; any host that runs Linux well is recent enough.
#[inline]
pub(crate) const fn fast_strings() -> bool {
    true
}
