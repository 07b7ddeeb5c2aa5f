//! `/proc/PID/status`: a process for people to read.

use super::{full, stat::State, target::Target};
use crate::{
    cred::{Credentials, Limited},
    memory::Memory,
    process::{Process, Resource},
    thread::Tcb,
};
use abi::Result;
use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::Relaxed,
};
use framework::PAGE_SIZE;
use fs::Caller;

/// `/proc/PID/status`.
///
/// Source: proc_pid_status(5)
pub(super) fn show(target: &Target, out: &mut dyn Write, _caller: &Caller<'_>) -> Result<()> {
    let process = target.process()?;
    let credentials = target.credentials()?;
    let thread = target.thread();
    let thread = thread.as_deref();
    identity(target, &process, thread, &credentials, out)
        .and_then(|()| target.memory().map_or(Ok(()), |memory| sizes(&memory, out)))
        .and_then(|()| signals(&process, thread, out))
        .and_then(|()| rights(thread, &credentials, out))
        .and_then(|()| placement(thread, out))
        .map_err(full)
}

fn identity(
    target: &Target,
    process: &Process,
    thread: Option<&Tcb>,
    credentials: &Credentials,
    out: &mut dyn Write,
) -> fmt::Result {
    let name = thread.map_or_else(|| process.name(), Tcb::name);
    out.write_str("Name:\t")?;
    escape(out, &name)?;
    let files = thread.and_then(|thread| thread.view.lock().files.clone());
    if let Some(context) = thread.and_then(|thread| thread.view.lock().fs.clone()) {
        write!(out, "\nUmask:\t{:04o}", context.with(|places| places.umask))?;
    }
    writeln!(out, "\nState:\t{}", State::of(process, thread).name())?;
    let (number, parent) = (target.number().get(), process.parent_pid().map_or(0, abi::Pid::get));
    writeln!(out, "Tgid:\t{}\nNgid:\t0\nPid:\t{number}", process.pid.get())?;
    writeln!(out, "PPid:\t{parent}\nTracerPid:\t0")?;
    let own = credentials;
    writeln!(out, "Uid:\t{}\t{}\t{}\t{}", own.uid, own.euid, own.suid, own.fsuid)?;
    writeln!(out, "Gid:\t{}\t{}\t{}\t{}", own.gid, own.egid, own.sgid, own.fsgid)?;
    writeln!(out, "FDSize:\t{}", files.map_or(0, |files| files.size()))?;
    out.write_str("Groups:\t")?;
    own.groups.iter().try_for_each(|group| write!(out, "{group} "))?;
    if own.groups.is_empty() {
        out.write_char(' ')?;
    }
    let (group, session) = (process.group().pid.get(), process.session().pid.get());
    write!(out, "\nNStgid:\t{}\nNSpid:\t{number}\n", process.pid.get())?;
    writeln!(out, "NSpgid:\t{group}\nNSsid:\t{session}\nKthread:\t0")
}

/// A name with what would break the line as octal numbers.
fn escape(out: &mut dyn Write, name: &str) -> fmt::Result {
    name.chars().try_for_each(|letter| match letter {
        '\n' => out.write_str("\\n"),
        '\\' => out.write_str("\\\\"),
        letter => out.write_char(letter),
    })
}

fn sizes(memory: &Memory, out: &mut dyn Write) -> fmt::Result {
    let usage = memory.usage();
    let layout = memory.layout();
    let code = layout.code.1.get().next_multiple_of(PAGE_SIZE) - layout.code.0.page().get();
    let code = code / PAGE_SIZE;
    let shared = memory.shared_pages();
    let lines = [
        ("VmPeak", usage.peak_mapped.max(usage.totals.mapped)),
        ("VmSize", usage.totals.mapped),
        ("VmLck", usage.totals.locked),
        ("VmPin", 0),
        ("VmHWM", usage.peak_resident),
        ("VmRSS", usage.resident),
        ("RssAnon", usage.resident.saturating_sub(shared)),
        ("RssFile", shared),
        ("RssShmem", 0),
        ("VmData", usage.totals.data),
        ("VmStk", usage.totals.stack),
        ("VmExe", code),
        ("VmLib", usage.totals.text.saturating_sub(code)),
        ("VmPTE", usage.page_tables),
        ("VmSwap", 0),
    ];
    lines.iter().try_for_each(|(name, pages)| {
        writeln!(out, "{name}:\t{:8} kB", pages * (PAGE_SIZE / 1024))
    })?;
    out.write_str("CoreDumping:\t0\n")
}

fn signals(process: &Process, thread: Option<&Tcb>, out: &mut dyn Write) -> fmt::Result {
    let shared = process.signals.lock().pending.set().bits();
    let own = thread.map_or(0, |thread| thread.signals.lock().pending.set().bits());
    let blocked = thread.map_or(0, |thread| thread.blocked().bits());
    let (ignored, caught) = process.signal_dispositions();
    writeln!(out, "Threads:\t{}", process.live_threads().len())?;
    let most = process.limit(Resource::PendingSignals);
    let queued = process.system.users.count(process.credentials().uid, Limited::Signals);
    writeln!(out, "SigQ:\t{queued}/{most}")?;
    writeln!(out, "SigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}")?;
    writeln!(out, "SigIgn:\t{:016x}\nSigCgt:\t{:016x}", ignored.bits(), caught.bits())
}

fn rights(thread: Option<&Tcb>, own: &Credentials, out: &mut dyn Write) -> fmt::Result {
    let sets = [
        ("Inh", own.inheritable),
        ("Prm", own.permitted),
        ("Eff", own.effective),
        ("Bnd", own.bounding),
        ("Amb", own.ambient),
    ];
    sets.iter().try_for_each(|(name, set)| writeln!(out, "Cap{name}:\t{:016x}", set.bits()))?;
    let restricted = thread.is_some_and(|thread| thread.no_new_privileges.load(Relaxed));
    writeln!(out, "NoNewPrivs:\t{}\nSeccomp:\t0\nSeccomp_filters:\t0", u8::from(restricted))
}

fn placement(thread: Option<&Tcb>, out: &mut dyn Write) -> fmt::Result {
    let usage = thread.map(Tcb::usage).unwrap_or_default();
    if let Some(task) = thread.and_then(Tcb::task) {
        let cpus = task.affinity().and(executor::CpuSet::first(framework::cpu::count()));
        write!(out, "Cpus_allowed:\t{:x}\nCpus_allowed_list:\t", cpus.bits())?;
        write_ranges(cpus.bits(), out)?;
        out.write_str("\nMems_allowed:\t1\nMems_allowed_list:\t0\n")?;
    }
    writeln!(out, "voluntary_ctxt_switches:\t{}", usage.voluntary_switches)?;
    writeln!(out, "nonvoluntary_ctxt_switches:\t{}", usage.involuntary_switches)
}

/// Bits as a list of ranges: `0-1,3`.
fn write_ranges(bits: u64, out: &mut dyn Write) -> fmt::Result {
    let is_set = |bit: u32| bits.checked_shr(bit).unwrap_or(0) & 1 == 1;
    let mut separator = "";
    let mut bit = 0;
    while bit < u64::BITS {
        let start = bit;
        while is_set(bit) {
            bit += 1;
        }
        if bit > start {
            match bit - start {
                1 => write!(out, "{separator}{start}")?,
                _ => write!(out, "{separator}{start}-{}", bit - 1)?,
            }
            separator = ",";
        }
        bit += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{escape, write_ranges};

    #[test]
    fn sets_are_lists_of_ranges() {
        let text = |bits| {
            let mut text = String::new();
            write_ranges(bits, &mut text).unwrap();
            text
        };
        assert_eq!(text(0b11), "0-1");
        assert_eq!(text(0b1011), "0-1,3");
        assert_eq!(text(0), "");
        assert_eq!(text(u64::MAX), "0-63");
    }

    #[test]
    fn names_keep_to_their_line() {
        let mut text = String::new();
        escape(&mut text, "a\nb\\c").unwrap();
        assert_eq!(text, "a\\nb\\\\c");
    }
}
