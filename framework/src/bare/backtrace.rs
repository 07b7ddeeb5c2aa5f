//! Who called whom, by the chain of frame pointers.

use super::boot::STACK_SIZE;
use crate::symbols::Symbols;
use core::{
    fmt::{self, Write},
    slice,
};

unsafe extern "C" {
    /// Where the link script puts the symbol table.
    safe static kernel_ksyms: [u8; 8];
    /// Where the kernel's code starts.
    safe static kernel_text: u8;
    /// Where it ends.
    safe static kernel_rodata: u8;
}

/// The longest backtrace, in functions.
const LONGEST: usize = 64;

/// An address with the function it lies in.
pub(super) struct Place(pub(super) usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = symbols().and_then(|symbols| symbols.find(self.0 as u64));
        match found.filter(|_| is_code(self.0)) {
            Some((name, offset)) => write!(f, "{:#x} {}+{offset:#x}", self.0, name.as_str()),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// Prints the callers of the function whose frame pointer is `frame`.
///
/// The chain ends at a frame pointer of 0 (the first function of a stack) or at one that cannot be
/// right: each must lie above the one before, on the same stack.
pub(super) fn print(to: &mut dyn Write, frame: usize) -> fmt::Result {
    writeln!(to, "backtrace:")?;
    let end = frame.saturating_add(STACK_SIZE);
    let mut frame = frame;
    for _ in 0..LONGEST {
        if frame == 0 || frame % align_of::<usize>() != 0 {
            break;
        }
        let saved = frame as *const [usize; 2];
        // SAFETY: the frame pointer is our own or, by the check below, one further up the stack;
        // kernel code keeps it intact, and what lies above the stack is mapped.
        let [next, caller] = unsafe { saved.read() };
        if !is_code(caller) {
            break;
        }
        // A call can be a function's last instruction, so the place is the one before the return.
        writeln!(to, "  {}", Place(caller - 1))?;
        if next <= frame || next >= end {
            break;
        }
        frame = next;
    }
    Ok(())
}

fn is_code(address: usize) -> bool {
    ((&raw const kernel_text).addr()..(&raw const kernel_rodata).addr()).contains(&address)
}

fn symbols() -> Option<Symbols<'static>> {
    let size = Symbols::size(kernel_ksyms)?;
    // SAFETY: the image has `size` bytes of symbols here, which are never written.
    let bytes = unsafe { slice::from_raw_parts((&raw const kernel_ksyms).cast(), size) };
    Symbols::new(bytes)
}
