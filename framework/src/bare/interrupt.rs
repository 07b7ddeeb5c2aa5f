//! What an interrupt does: acknowledge, set a bit, wake. No lock, no allocation.

/// Called for each interrupt (vectors 32 to 255), from user and from kernel mode, with interrupts
/// off. Returns whether the vector is the framework's own affair (a page table flush), which ends
/// neither user mode nor a halt.
pub(super) fn interrupt(_vector: u8) -> bool {
    false
}

/// Called for a non-maskable interrupt.
pub(super) fn nmi(_rip: usize, _frame_pointer: usize) {}
