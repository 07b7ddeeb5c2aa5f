//! Address spaces: pages mapped, found, changed, moved, shared and taken away.

use crate::Say;
use core::ops::Range;
use framework::{Frame, PAGE_SIZE, Protection, VirtAddr, VmSpace};

const BASE: VirtAddr = VirtAddr::new(0x40_0000);

/// The address of page `n` from [`BASE`].
fn page(n: usize) -> VirtAddr {
    BASE + n * PAGE_SIZE
}

fn pages(range: Range<usize>) -> Range<VirtAddr> {
    page(range.start)..page(range.end)
}

/// A frame whose first byte is `mark`.
fn marked(mark: u8) -> Frame {
    let frame = Frame::zeroed().expect("memory suffices");
    frame.write(0, &[mark]);
    frame
}

fn show(say: &mut Say<'_>, what: &str, space: &VmSpace, range: Range<usize>) {
    say(format_args!("{what}: {} pages resident", space.resident()));
    space.lock().for_each(pages(range), &mut |at, found| {
        let mut mark = [0];
        found.frame.read(0, &mut mark);
        say(format_args!("  {at:?} {:?} holds {}", found.protection, mark[0]));
    });
}

pub(crate) fn run(say: &mut Say<'_>) {
    let space = VmSpace::new().expect("memory suffices");
    show(say, "new", &space, 0..16);

    let rights = [
        Protection::READ,
        Protection::READ | Protection::WRITE,
        Protection::READ | Protection::EXECUTE,
    ];
    for (n, right) in rights.into_iter().enumerate() {
        let mark = u8::try_from(10 + n).unwrap_or(0);
        space.lock().map(page(2 * n), marked(mark), right).expect("memory suffices");
    }
    show(say, "mapped", &space, 0..16);

    space.lock().map(page(2), marked(99), Protection::READ).expect("memory suffices");
    show(say, "mapped over", &space, 0..16);

    space.lock().protect(pages(0..3), Protection::READ | Protection::WRITE);
    show(say, "protected", &space, 0..16);

    space.lock().move_pages(pages(2..5), page(600)).expect("memory suffices");
    show(say, "moved", &space, 0..700);

    let child = VmSpace::new().expect("memory suffices");
    {
        let mut from = space.lock();
        let mut to = child.lock();
        from.share_copy_on_write(&mut to, pages(0..700)).expect("memory suffices");
    }
    show(say, "parent", &space, 0..700);
    show(say, "child", &child, 0..700);
    let shared = space.lock().query(page(0)).map(|found| found.frame.references());
    // The query's own, and one of each space.
    say(format_args!("references to a shared frame: {shared:?}"));

    space.lock().unmap(pages(0..600));
    show(say, "unmapped", &space, 0..700);
    show(say, "child keeps", &child, 0..700);
    say(format_args!(
        "nothing there: {:?}",
        space.lock().query(page(0)).map(|found| found.protection)
    ));
}
