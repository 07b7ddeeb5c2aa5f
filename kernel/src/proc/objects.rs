//! What the kernel holds: `/proc/{objects,slabinfo,vmstat,timer_list}` and the counts of `/proc/sys/fs`.
//!
//! `objects` is ours: a line for each kind with how many there are now. A program that compares it
//! before and after some work sees what the work left behind.

use crate::{
    count::{EpollItems, Files, Memories, Processes, Threads},
    file::FdTable,
    memory::Memory,
    process::Counters,
    system::System,
    thread::Tcb,
};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use arrayvec::ArrayVec;
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use executor::timer;
use framework::{
    CpuId,
    count::Kind,
    cpu,
    frame::{self, HeapStats},
};

/// More sizes than the kernel heap has.
const SIZES: usize = 24;

/// The sizes of the kernel heap, taken before anything is written, which would take memory.
fn heap() -> ArrayVec<HeapStats, SIZES> {
    let mut sizes = ArrayVec::new();
    frame::heap_stats(&mut |size| {
        // What is beyond the list's end would not be shown.
        let _ = sizes.try_push(*size);
    });
    sizes
}

/// What is found by going through all processes.
#[derive(Default)]
struct OfProcesses {
    descriptors: usize,
    mappings: usize,
    pending_signals: usize,
    process_timers: usize,
}

/// The different ones of `all`, by their addresses.
fn distinct<T>(all: impl Iterator<Item = Arc<T>>) -> Vec<Arc<T>> {
    let mut all: Vec<_> = all.collect();
    all.sort_unstable_by_key(|one| Arc::as_ptr(one).addr());
    all.dedup_by(|a, b| Arc::ptr_eq(a, b));
    all
}

fn of_processes(system: &System) -> OfProcesses {
    let mut sums = OfProcesses::default();
    let mut threads: Vec<Arc<Tcb>> = Vec::new();
    for process in system.pids.processes() {
        sums.pending_signals += process.signals.lock().pending.len();
        let timers = process.timers.lock();
        sums.process_timers += timers.posix.len() + usize::from(timers.real.is_some());
        drop(timers);
        threads.append(&mut process.live_threads());
    }
    for thread in &threads {
        sums.pending_signals += thread.signals.lock().pending.len();
    }
    let tables = threads.iter().filter_map(|thread| thread.view.lock().files.clone());
    sums.descriptors = distinct(tables).iter().map(|files: &Arc<FdTable>| files.open_count()).sum();
    let memories = threads.iter().filter_map(|thread| thread.view.lock().memory.clone());
    sums.mappings = distinct(memories).iter().map(|memory: &Arc<Memory>| memory.mappings()).sum();
    sums
}

/// Frames that neither the kernel's own structures nor files hold: programs' memory, and what is
/// in pipes.
pub(super) fn anonymous_pages() -> usize {
    let frames = frame::stats();
    let known = frames.heap + frames.page_tables + frames.kept_tables + fs::cached_pages();
    frames.total.saturating_sub(frames.free).saturating_sub(known)
}

fn cpu_ids() -> impl Iterator<Item = CpuId> {
    let count = u8::try_from(cpu::count()).unwrap_or(u8::MAX);
    (0..count).map(CpuId::new)
}

fn timers() -> timer::TimerStats {
    cpu_ids().map(timer::stats).fold(timer::TimerStats::default(), |sum, cpu| timer::TimerStats {
        made: sum.made + cpu.made,
        set: sum.set + cpu.set,
        first: None,
    })
}

/// `/proc/objects`.
pub(super) fn objects(system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let (heap, frames, files) = (heap(), frame::stats(), fs::count::counts());
    let timers = timers();
    let mut tasks = 0_usize;
    executor::tasks(&mut |_| tasks += 1);
    let numbers = system.pids.lock().counts();
    let sums = of_processes(system);
    let lines = [
        ("frames_total", frames.total),
        ("frames_free", frames.free),
        ("frames_heap", frames.heap),
        ("frames_page_tables", frames.page_tables),
        ("frames_kept_tables", frames.kept_tables),
        ("frames_page_cache", fs::cached_pages()),
        ("frames_programs", anonymous_pages()),
        ("tasks", tasks),
        ("timers", timers.made),
        ("timers_set", timers.set),
        ("process_timers", sums.process_timers),
        ("numbers", numbers.numbers),
        ("processes", Processes::live().count()),
        ("threads", Threads::live().count()),
        ("address_spaces", Memories::live().count()),
        ("mappings", sums.mappings),
        ("pending_signals", sums.pending_signals),
        ("files", Files::live().count()),
        ("descriptors", sums.descriptors),
        ("dentries", files.dentries),
        ("dentries_negative", files.negative_dentries),
        ("inodes", files.inodes),
        ("pipes", files.pipes),
        ("epoll_items", EpollItems::live().count()),
        ("futex_waiters", system.futexes.waiters()),
    ];
    lines.iter().try_for_each(|(name, count)| writeln!(out, "{name} {count}"))?;
    heap.iter().try_for_each(|size| match size.size {
        0 => writeln!(out, "heap_large {}", size.used),
        bytes => writeln!(out, "heap_{bytes} {}", size.used),
    })
}

/// `/proc/slabinfo`: the kernel heap has sizes, not kinds.
///
/// Source: slabinfo(5)
pub(super) fn slab_info(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let heap = heap();
    out.write_str("slabinfo - version: 2.1\n")?;
    out.write_str(
        "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>",
    )?;
    out.write_str(" : tunables <limit> <batchcount> <sharedfactor>")?;
    out.write_str(" : slabdata <active_slabs> <num_slabs> <sharedavail>\n")?;
    for size in heap.iter().filter(|size| size.size != 0) {
        let HeapStats { size, used, objects, blocks, block_frames } = *size;
        let per_block = block_frames * framework::PAGE_SIZE / size;
        let name = format!("kmalloc-{size}");
        write!(out, "{name:<17} {used:6} {objects:6} {size:6} {per_block:4} {block_frames:4}")?;
        writeln!(out, " : tunables    0    0    0 : slabdata {blocks:6} {blocks:6}      0")?;
    }
    Ok(())
}

/// `/proc/vmstat`, as far as the same things are counted here; in pages.
///
/// Source: proc_vmstat(5)
pub(super) fn memory_counters(system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let (frames, cached) = (frame::stats(), fs::cached_pages());
    let faults = Counters::default();
    faults.absorb(&system.ended_faults);
    for process in system.pids.processes() {
        process.live_threads().iter().for_each(|thread| faults.absorb(&thread.counters));
    }
    let (minor, major) = (faults.minor_faults.load(Relaxed), faults.major_faults.load(Relaxed));
    let lines = [
        ("nr_free_pages", frames.free),
        ("nr_anon_pages", anonymous_pages()),
        ("nr_file_pages", cached),
        ("nr_shmem", cached),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_slab_reclaimable", 0),
        ("nr_slab_unreclaimable", frames.heap),
        ("nr_page_table_pages", frames.page_tables),
    ];
    lines.iter().try_for_each(|(name, count)| writeln!(out, "{name} {count}"))?;
    writeln!(out, "pgfault {}\npgmajfault {major}", minor + major)
}

/// `/proc/timer_list`: how many timers each CPU has, and when its first one is due.
pub(super) fn timer_list(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let now = framework::time::now().as_nanos();
    writeln!(out, "Timer List Version: v0.9\nnow at {now} nsecs\n")?;
    for (number, cpu) in cpu_ids().enumerate() {
        let stats = timer::stats(cpu);
        writeln!(out, "cpu: {number}\n timers: {}\n active timers: {}", stats.made, stats.set)?;
        match stats.first {
            Some(first) => writeln!(out, "  .expires_next   : {} nsecs\n", first.as_nanos())?,
            None => out.write_str("  .expires_next   : none\n\n")?,
        }
    }
    Ok(())
}

/// `/proc/sys/fs/file-nr`: open files, those kept for reuse, the limit.
pub(super) fn file_numbers(_system: &'static System) -> String {
    format!("{}\t0\t{}", Files::live().count(), crate::file::max_files())
}

/// `/proc/sys/fs/inode-nr`: inodes, and those kept for reuse.
pub(super) fn inode_numbers(_system: &'static System) -> String {
    format!("{}\t0", fs::count::counts().inodes)
}

/// `/proc/sys/fs/inode-state`: the same in a longer line.
pub(super) fn inode_state(_system: &'static System) -> String {
    format!("{}\t0\t0\t0\t0\t0\t0", fs::count::counts().inodes)
}

/// `/proc/sys/fs/dentry-state`: dentries, those that only the cache holds, age limit, wanted pages,
/// negative ones, nothing. Linux does not use the age limit either.
pub(super) fn dentry_state(system: &'static System) -> String {
    let counts = fs::count::counts();
    let mounts = system.mounts.list(&system.mounts.root());
    let instances = distinct(mounts.iter().map(|listed| Arc::clone(listed.mount.super_block())));
    let unused: usize = instances.iter().map(|instance| instance.unused_dentries()).sum();
    format!("{}\t{unused}\t45\t0\t{}\t0", counts.dentries, counts.negative_dentries)
}
