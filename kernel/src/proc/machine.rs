//! Files about the whole system: `meminfo`, `stat`, `uptime`, `loadavg`, `interrupts`, ...

use crate::{
    system::{RELEASE, SYSNAME, System, VERSION},
    time,
};
use core::{
    fmt::{self, Write},
    time::Duration,
};
use executor::CpuStats;
use framework::{CpuId, PAGE_SIZE, frame};

/// What a function of the system writes.
pub(super) type Show = fn(&'static System, &mut dyn Write) -> fmt::Result;

/// The files, by name.
pub(super) const FILES: &[(&str, Show)] = &[
    ("cmdline", command_line),
    ("cpuinfo", super::cpuinfo::show),
    ("devices", |system, out| system.devices.write_list(out)),
    ("filesystems", |system, out| system.file_systems.write_list(out)),
    ("interrupts", interrupts),
    ("loadavg", load_average),
    ("meminfo", memory),
    ("objects", super::objects::objects),
    ("partitions", |_, out| out.write_str("major minor  #blocks  name\n\n")),
    ("slabinfo", super::objects::slab_info),
    ("stat", statistics),
    ("swaps", |_, out| out.write_str("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")),
    ("timer_list", super::objects::timer_list),
    ("uptime", uptime),
    ("version", version),
    ("vmstat", super::objects::memory_counters),
];

/// The accounts of each CPU that runs.
fn cpus() -> impl Iterator<Item = CpuStats> {
    let count = u8::try_from(framework::cpu::count()).unwrap_or(u8::MAX);
    (0..count).map(CpuId::new).map(executor::cpu_stats)
}

fn command_line(system: &'static System, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "{}", system.command_line())
}

/// `/proc/meminfo`.
///
/// Source: proc_meminfo(5)
fn memory(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let stats = frame::stats();
    let available = stats.free.saturating_sub(stats.reserve);
    let cached = fs::cached_pages();
    // Nothing of the cache lies on a disk yet: all of it is memory of tmpfs and its like.
    let lines = [
        ("MemTotal:", stats.total),
        ("MemFree:", stats.free),
        ("MemAvailable:", available),
        ("Buffers:", 0),
        ("Cached:", cached),
        ("SwapCached:", 0),
        ("SwapTotal:", 0),
        ("SwapFree:", 0),
        ("Dirty:", 0),
        ("Writeback:", 0),
        ("AnonPages:", super::objects::anonymous_pages()),
        ("Shmem:", cached),
        ("KReclaimable:", 0),
        ("Slab:", stats.heap),
        ("SReclaimable:", 0),
        ("SUnreclaim:", stats.heap),
        ("PageTables:", stats.page_tables),
    ];
    lines.iter().try_for_each(|(name, pages)| {
        writeln!(out, "{name:<16}{:8} kB", pages * (PAGE_SIZE / 1024))
    })
}

fn ticks(time: Duration) -> u128 {
    super::stat::ticks(time)
}

/// `/proc/stat`.
///
/// Source: proc_stat(5)
fn statistics(system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let mut line = |name: fmt::Arguments<'_>, stats: &CpuStats| {
        let (user, nice) = (ticks(stats.user), ticks(stats.nice));
        let (kernel, idle) = (ticks(stats.system), ticks(stats.idle));
        writeln!(out, "{name} {user} {nice} {kernel} {idle} 0 0 0 0 0 0")
    };
    let sum = cpus().fold(CpuStats::default(), |mut sum, cpu| {
        sum.user += cpu.user;
        sum.nice += cpu.nice;
        sum.system += cpu.system;
        sum.idle += cpu.idle;
        sum.switches += cpu.switches;
        sum
    });
    line(format_args!("cpu "), &sum)?;
    cpus().enumerate().try_for_each(|(index, cpu)| line(format_args!("cpu{index}"), &cpu))?;
    let counts = framework::irq::counts();
    let interrupts: u64 = counts.iter().flat_map(|count| count.per_cpu.iter()).sum();
    write!(out, "intr {interrupts}")?;
    // By number, without those that have none (timer and inter-processor interrupts).
    let numbered =
        counts.iter().filter_map(|count| Some((count.name.parse::<usize>().ok()?, count)));
    let mut next = 0;
    for (number, count) in numbered {
        for _ in next..number {
            out.write_str(" 0")?;
        }
        write!(out, " {}", count.per_cpu.iter().sum::<u64>())?;
        next = number + 1;
    }
    let booted =
        time::realtime().saturating_sub(Duration::from_nanos(framework::time::now().as_nanos()));
    writeln!(out, "\nctxt {}\nbtime {}", sum.switches, booted.as_secs())?;
    let made = system.pids.lock().made();
    writeln!(out, "processes {made}\nprocs_running {}", executor::runnable().max(1))?;
    out.write_str("procs_blocked 0\n")
}

/// `/proc/uptime`: since boot, and idle, summed over the CPUs.
///
/// Source: proc_uptime(5)
fn uptime(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    let up = framework::time::now().as_nanos() / 10_000_000;
    let idle: u128 = cpus().map(|cpu| ticks(cpu.idle)).sum();
    writeln!(out, "{}.{:02} {}.{:02}", up / 100, up % 100, idle / 100, idle % 100)
}

/// `/proc/loadavg`.
///
/// Source: proc_loadavg(5)
fn load_average(system: &'static System, out: &mut dyn Write) -> fmt::Result {
    for average in system.load.averages() {
        // In 1/65536; rounded to hundredths.
        let hundredths = (average * 100 + (1 << 15)) >> 16;
        write!(out, "{}.{:02} ", hundredths / 100, hundredths % 100)?;
    }
    let (threads, last) = {
        let entries = system.pids.lock();
        (entries.counts().threads, entries.last())
    };
    writeln!(out, "{}/{threads} {last}", executor::runnable().max(1))
}

fn version(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "{SYSNAME} version {RELEASE} (jinux@jinux) (rustc) {VERSION}")
}

/// `/proc/interrupts`.
///
/// Source: proc_interrupts(5)
fn interrupts(_system: &'static System, out: &mut dyn Write) -> fmt::Result {
    out.write_str("           ")?;
    for cpu in 0..framework::cpu::count() {
        write!(out, "{:<11}", alloc::format!("CPU{cpu}"))?;
    }
    out.write_char('\n')?;
    framework::irq::counts().iter().try_for_each(|line| {
        write!(out, "{:>3}:", line.name)?;
        line.per_cpu.iter().try_for_each(|count| write!(out, " {count:10}"))?;
        writeln!(out, "  {}", line.what)
    })
}
