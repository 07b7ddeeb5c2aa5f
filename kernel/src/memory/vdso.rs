//! The vDSO in every address space, and the page of parameters it reads.

use super::{Memory, Object, Vma, VmaFlags, change};
use abi::Result;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{Ordering, fence};
use framework::{Frame, PAGE_SIZE, Protection, VirtAddr, time, vdso};
use spin::{Mutex, Once};

/// The pages all programs share.
struct Shared {
    parameters: Frame,
    /// The number in front of the parameters; held while they change.
    sequence: Mutex<u32>,
    data: Arc<Object>,
    code: Arc<Object>,
}

/// Makes the pages at the first use.
fn shared() -> Result<&'static Shared> {
    static SHARED: Once<Shared> = Once::new();
    SHARED.try_call_once(|| {
        let parameters = Frame::zeroed()?;
        let mut code = Vec::new();
        for part in vdso::IMAGE.chunks(PAGE_SIZE) {
            let frame = Frame::zeroed()?;
            frame.write(0, part);
            code.push(frame);
        }
        let shared = Shared {
            data: Object::fixed("[vvar]", alloc::vec![parameters.clone()]),
            code: Object::fixed("[vdso]", code),
            parameters,
            sequence: Mutex::new(0),
        };
        let offset = u64::try_from(time::boot_wall_clock().as_nanos()).unwrap_or(0);
        shared.write(offset);
        Ok(shared)
    })
}

impl Shared {
    fn write(&self, wall_offset_ns: u64) {
        let mut sequence = self.sequence.lock();
        *sequence = sequence.wrapping_add(1);
        self.parameters.write(0, &sequence.to_le_bytes());
        fence(Ordering::SeqCst);
        let bytes = vdso::parameters(time::tsc_clock(), wall_offset_ns);
        self.parameters.write(vdso::PARAMETERS_OFFSET, &bytes);
        fence(Ordering::SeqCst);
        *sequence = sequence.wrapping_add(1);
        self.parameters.write(0, &sequence.to_le_bytes());
    }
}

/// Tells all programs what to add to the monotonic clock to get UTC; whoever sets the clock calls
/// this.
///
/// # Errors
/// - `ENOMEM`: the pages could not be made.
pub fn set_wall_offset(wall_offset_ns: u64) -> Result<()> {
    shared()?.write(wall_offset_ns);
    Ok(())
}

impl Memory {
    /// Maps the parameters and the vDSO behind them; returns where the vDSO begins.
    pub(super) fn map_vdso(&self) -> Result<Option<VirtAddr>> {
        let shared = shared()?;
        let code_len = vdso::IMAGE.len().next_multiple_of(PAGE_SIZE);
        let mut state = self.state.lock();
        let Some(start) = change::find_gap(&state, PAGE_SIZE + code_len, false) else {
            return Ok(None);
        };
        let code = start + PAGE_SIZE;
        let read = Protection::READ;
        let special = |start, end, protection, maximum, object: &Arc<Object>| Vma {
            start,
            end,
            protection,
            maximum,
            flags: VmaFlags::DONT_EXPAND | VmaFlags::DONT_DUMP,
            offset: 0,
            object: Some(object.clone()),
            has_own_pages: false,
        };
        state.map.insert(special(start, code, read, read, &shared.data))?;
        let run = read | Protection::EXECUTE;
        state.map.insert(special(code, code + code_len, run, change::ALL, &shared.code))?;
        state.layout.vdso = Some(code);
        self.note_mapped(&state);
        Ok(Some(code))
    }
}
