//! Who called whom, by the chain of frame pointers.

use super::{boot::STACK_SIZE, paging};
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

/// The longest backtrace, in lines.
const MOST_LINES: usize = 64;

/// The most changes of the stack that are followed.
const MOST_STACKS: usize = 2;

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
/// The chain ends at a frame pointer of 0, of the first function of a stack. A broken one ends it
/// too: only what is mapped is read, and each frame lies above the one before, but that a trap may
/// have come from another stack.
pub(super) fn print(to: &mut dyn Write, frame: usize) -> fmt::Result {
    writeln!(to, "backtrace:")?;
    let mut frame = frame;
    let (mut stacks, mut lines, mut last, mut repeated) = (0, 0, 0, 0usize);
    while lines < MOST_LINES {
        let found = read(frame).filter(|[_, caller]| is_code(*caller));
        let caller = found.map_or(0, |[_, caller]| caller);
        if caller == last && caller != 0 {
            repeated += 1;
        } else {
            if repeated > 0 {
                writeln!(to, "  (and {repeated} times more)")?;
            }
            (last, repeated, lines) = (caller, 0, lines + 1);
        }
        let Some([next, _]) = found else { break };
        if repeated == 0 {
            // A call can be a function's last instruction: the place is the one before the return.
            writeln!(to, "  {}", Place(caller - 1))?;
        }
        if !(frame + 1..frame + STACK_SIZE).contains(&next) {
            stacks += 1;
        }
        if stacks > MOST_STACKS {
            break;
        }
        frame = next;
    }
    Ok(())
}

/// Reads a frame: the frame pointer of the caller, and where it goes on.
fn read(frame: usize) -> Option<[usize; 2]> {
    let last = frame.checked_add(size_of::<[usize; 2]>() - 1)?;
    let readable = frame.is_multiple_of(align_of::<usize>())
        && paging::is_mapped(frame)
        && paging::is_mapped(last);
    // SAFETY: the words are aligned, mapped, and memory: device registers are not on any stack.
    readable.then(|| unsafe { (frame as *const [usize; 2]).read() })
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
