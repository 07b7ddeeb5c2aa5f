//! The choice of who has to end when memory has run out.
//!
//! It is the process that holds most; unless a process group holds more than that and consists of
//! many small ones, as a fork bomb makes: then it is all of the group, since each of them alone
//! gives back less than the others take.

use super::Tcb;
use crate::{
    process::{ExitStatus, Process},
    system::System,
};
use abi::{Pid, Signal};
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

/// A group is killed when it holds more than so many times what its largest process does.
const MANY: usize = 64;

/// A process that may be killed, and what that would give back.
struct Candidate {
    group: Pid,
    pages: usize,
    process: Arc<Process>,
    thread: Arc<Tcb>,
}

/// Kills who holds most memory: there is none left. Returns who it was.
///
/// Source: proc_pid_oom_score_adj(5)
pub fn kill_largest(system: &System) -> Option<Pid> {
    let processes = system.pids.processes();
    // One at a time: who is ending already gives its memory back first.
    let ending = |process: &&Arc<Process>| {
        let threads = process.threads.lock();
        threads.exiting.is_some() && !threads.live.is_empty()
    };
    if let Some(victim) = processes.iter().find(ending) {
        return Some(victim.pid);
    }
    let mut candidates: Vec<_> = processes.into_iter().filter_map(candidate).collect();
    candidates.sort_unstable_by_key(|candidate| candidate.group);
    let sum = |group: &[Candidate]| group.iter().map(|member| member.pages).sum::<usize>();
    let group = candidates.chunk_by(|a, b| a.group == b.group).max_by_key(|group| sum(group))?;
    let largest = candidates.iter().max_by_key(|candidate| candidate.pages)?;
    let own = group.iter().map(|member| member.pages).max()?;
    if sum(group) > largest.pages && sum(group) > own.saturating_mul(MANY) {
        let (pages, name) = (sum(group), group[0].thread.name());
        let (count, number) = (group.len(), group[0].group.get());
        log::error!(
            "out of memory: killed group {number} ({name}), {count} processes, {} KiB",
            pages * 4
        );
        group.iter().for_each(kill);
        return Some(group[0].process.pid);
    }
    let (pid, name) = (largest.process.pid, largest.thread.name());
    log::error!("out of memory: killed {} ({name}), {} KiB", pid.get(), largest.pages * 4);
    kill(largest);
    Some(pid)
}

/// The process, unless it may not be killed or has nothing to give.
fn candidate(process: Arc<Process>) -> Option<Candidate> {
    let adjustment = process.oom_score_adjustment.load(Ordering::Relaxed);
    if process.is_init() || adjustment == NEVER {
        return None;
    }
    let thread = process.main_thread()?;
    let memory = thread.view.lock().memory.clone()?;
    let thousandth = i64::try_from(framework::frame::stats().total / 1000).ok()?;
    let pages = i64::try_from(memory.badness()).ok()?;
    let pages = pages.saturating_add(i64::from(adjustment) * thousandth);
    let pages = usize::try_from(pages.max(1)).ok()?;
    Some(Candidate { group: process.group().pid, pages, process, thread })
}

/// The adjustment of who is never killed (`OOM_SCORE_ADJ_MIN`).
const NEVER: i32 = -1000;

fn kill(victim: &Candidate) {
    victim.process.begin_exit(ExitStatus::Killed { signal: Signal::KILL, core: false });
}
