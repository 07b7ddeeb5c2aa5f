//! How fast the time stamp counter and the APIC's timer count.
//!
//! What CPUID says is believed; else both are compared with a clock of known rate. A reading is
//! taken between two of the counter and counts as made half-way; of several, the one with the
//! least between them is used, since an emulator may stop anywhere for any time.

use super::{
    apic,
    clock::{NS, tsc},
    features::cpuid,
    kvm,
    mmio::Mmio,
    pit, rtc,
};
use crate::acpi::{Platform, PmTimer};

/// Rates in Hz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    /// Of the time stamp counter.
    pub(super) tsc: u64,
    /// Of the APIC's timer, undivided.
    pub(super) apic: u64,
    /// What they were found with.
    pub(super) by: &'static str,
}

/// How long to compare.
const INTERVAL_NS: u64 = 10_000_000;

/// How often a reading is tried for.
const TRIES: usize = 10;

/// After so many readings without enough progress a clock counts as stopped.
const PATIENCE: usize = 1_000_000;

/// A clock of known rate.
struct Reference<'a> {
    name: &'static str,
    hz: u64,
    /// The bits that count.
    mask: u64,
    read: &'a dyn Fn() -> u64,
}

/// A reading of some clock, and the time stamp counter at that moment.
#[derive(Clone, Copy)]
struct Sample {
    tsc: u64,
    value: u64,
}

fn sample(read: &dyn Fn() -> u64) -> Sample {
    let mut best = (u64::MAX, Sample { tsc: 0, value: 0 });
    for _ in 0..TRIES {
        let before = tsc();
        let value = read();
        let width = tsc().saturating_sub(before);
        if width < best.0 {
            best = (width, Sample { tsc: before + width / 2, value });
        }
    }
    best.1
}

/// Finds the rates by the best means there is; `None` if there is none.
pub(super) fn rates(platform: &Platform) -> Option<Rates> {
    if let Some(told) = told() {
        if told.apic != 0 {
            return Some(told);
        }
        let counter = Reference { name: told.by, hz: told.tsc, mask: u64::MAX, read: &tsc };
        return compare(&counter).map(|rates| Rates { apic: rates.apic, ..told });
    }
    let hpet = platform.hpet.and_then(by_hpet);
    let timer = platform.fixed.and_then(|fixed| fixed.pm_timer);
    hpet.or_else(|| timer.and_then(by_pm_timer)).or_else(by_pit).or_else(by_apic).or_else(by_rtc)
}

/// What CPUID tells: leaf 0x15 (SDM 2A, CPUID), or a hypervisor's leaf 0x4000_0010; or KVM's
/// clock. The rate of the APIC's timer may be 0: not told.
fn told() -> Option<Rates> {
    let crystal = cpuid(0x15, 0);
    if crystal.eax != 0 && crystal.ebx != 0 && crystal.ecx != 0 {
        let hz = u64::from(crystal.ecx);
        let tsc = hz * u64::from(crystal.ebx) / u64::from(crystal.eax);
        return Some(Rates { tsc, apic: hz, by: "CPUID 0x15" });
    }
    let hypervisor = cpuid(0x4000_0010, 0);
    let (tsc, apic) = (1000 * u64::from(hypervisor.eax), 1000 * u64::from(hypervisor.ebx));
    if tsc != 0 {
        return Some(Rates { tsc, apic, by: "the hypervisor" });
    }
    kvm::tsc_hz().map(|tsc| Rates { tsc, apic: 0, by: "the KVM clock" })
}

/// Compares both counters with a reference.
fn compare(reference: &Reference<'_>) -> Option<Rates> {
    apic::count_freely();
    let apic_count = || u64::from(apic::current_count());
    let (first, apic_first) = (sample(reference.read), sample(&apic_count));
    let wanted = reference.hz * INTERVAL_NS / NS;
    let passed = |value: u64| value.wrapping_sub(first.value) & reference.mask;
    (0..PATIENCE).find(|_| passed((reference.read)()) >= wanted)?;
    let (last, apic_last) = (sample(reference.read), sample(&apic_count));
    let ratio = |ticks: u64, in_ticks: u64, of_hz: u64| {
        let hz = u128::from(ticks) * u128::from(of_hz) / u128::from(in_ticks.max(1));
        u64::try_from(hz).ok().filter(|&hz| hz > 1_000_000)
    };
    let tsc = ratio(last.tsc.saturating_sub(first.tsc), passed(last.value), reference.hz)?;
    let counted = apic_first.value.saturating_sub(apic_last.value);
    let apic = ratio(counted, apic_last.tsc.saturating_sub(apic_first.tsc), tsc)?;
    Some(Rates { tsc, apic, by: reference.name })
}

/// By the HPET (IA-PC HPET 1.0a, 2.3): its rate is in its capabilities, in femtoseconds a tick.
fn by_hpet(at: u64) -> Option<Rates> {
    const CAPABILITIES: usize = 0;
    const CONFIGURATION: usize = 0x10;
    const COUNTER: usize = 0xf0;
    let hpet = Mmio::map(at);
    let period = hpet.read_u64(CAPABILITIES) >> 32;
    if period == 0 || period > 100_000_000 {
        return None;
    }
    hpet.write_u32(CONFIGURATION, hpet.read_u32(CONFIGURATION) | 1);
    compare(&Reference {
        name: "HPET",
        hz: 1_000_000_000_000_000 / period,
        mask: 0xffff_ffff,
        read: &|| u64::from(hpet.read_u32(COUNTER)),
    })
}

fn by_pm_timer(timer: PmTimer) -> Option<Rates> {
    compare(&Reference {
        name: "PM timer",
        hz: 3_579_545,
        mask: if timer.wide { 0xffff_ffff } else { 0xff_ffff },
        read: &|| u64::from(super::port::read_u32(timer.port)),
    })
}

fn by_pit() -> Option<Rates> {
    pit::start()
        .then(|| compare(&Reference { name: "PIT", hz: pit::HZ, mask: 0xffff, read: &pit::read }))?
}

/// By the APIC's timer itself, where the emulator says that it is the one whose timer counts
/// nanoseconds.
fn by_apic() -> Option<Rates> {
    if !super::features::is_tcg() {
        return None;
    }
    apic::count_freely();
    let read = || u64::from(u32::MAX - apic::current_count());
    let rates = compare(&Reference { name: "APIC", hz: NS, mask: 0xffff_ffff, read: &read })?;
    Some(Rates { apic: NS, ..rates })
}

/// By the real-time clock's periodic flag, which is coarse: it is up to half a tick late.
fn by_rtc() -> Option<Rates> {
    let mut ticks = rtc::ticks()?;
    let apic_and_tsc = || {
        let apic = apic::current_count();
        (tsc(), apic)
    };
    apic::count_freely();
    ticks.wait()?;
    let (tsc_first, apic_first) = apic_and_tsc();
    const COUNT: u64 = 64;
    for _ in 0..COUNT {
        ticks.wait()?;
    }
    let (tsc_last, apic_last) = apic_and_tsc();
    let hz = |counted: u64| counted * rtc::TICK_HZ / COUNT;
    let rates = Rates {
        tsc: hz(tsc_last.saturating_sub(tsc_first)),
        apic: hz(u64::from(apic_first.saturating_sub(apic_last))),
        by: "RTC",
    };
    (rates.tsc > 1_000_000 && rates.apic > 1_000_000).then_some(rates)
}
