//! The values a running system is made of; a namespace is another instance of one of them.

use crate::{
    file::Devices,
    futex::FutexTable,
    process::{ExitStatus, PidTable},
    time::Load,
};
use alloc::{boxed::Box, vec::Vec};
use fs::{AnonymousFs, MountTable};
use io::mem::Entropy;
use spin::RwLock;

/// What uname(2) says the system is: programs ask for Linux.
pub const SYSNAME: &str = "Linux";
/// The version of Linux whose interface this is, and ours.
pub const RELEASE: &str = concat!("6.6.0-jinux-", env!("CARGO_PKG_VERSION"));
/// How it was built.
pub const VERSION: &str = "#1 SMP Jinux";

/// The names uname(2) returns that can change.
#[derive(Clone, Debug)]
pub struct UtsName {
    /// The host's name, at most 64 bytes.
    pub nodename: Vec<u8>,
    /// The NIS domain's name, at most 64 bytes.
    pub domainname: Vec<u8>,
}

/// Everything there is once in a running system.
#[derive(Debug)]
pub struct System {
    /// All threads, processes, process groups and sessions by number.
    pub pids: PidTable,
    /// The host's names.
    pub uts: RwLock<UtsName>,
    /// How busy the system has been.
    pub load: Load,
    /// Random numbers.
    pub random: Entropy,
    /// Who waits on which word.
    pub futexes: FutexTable,
    /// Terminals and other devices.
    pub devices: Devices,
    /// What is mounted where.
    pub mounts: MountTable,
    /// Where pipes have their inodes.
    pub pipes: AnonymousFs,
    /// Where memfds have their inodes.
    pub memory_files: fs::ramfs::Memory,
    /// Where eventfd and its like have their inodes.
    pub anonymous: AnonymousFs,
}

fn memory_files() -> fs::ramfs::Memory {
    let kernel = fs::Caller::new(fs::Credentials::ROOT, crate::time::realtime_coarse);
    fs::ramfs::Memory::new(&kernel).expect("an empty file system without options")
}

impl System {
    /// Makes a system without processes. It lives as long as the machine.
    pub fn new(hostname: &str, mounts: MountTable) -> &'static Self {
        Box::leak(Box::new(Self {
            pids: PidTable::new(),
            uts: RwLock::new(UtsName {
                nodename: hostname.as_bytes().to_vec(),
                domainname: b"(none)".to_vec(),
            }),
            load: Load::new(),
            random: Entropy::new(),
            futexes: FutexTable::new(),
            devices: Devices::default(),
            mounts,
            pipes: AnonymousFs::pipes(),
            memory_files: memory_files(),
            anonymous: AnonymousFs::new("anon_inodefs", 0x0904_1934, "anon_inode"),
        }))
    }

    /// The first process has ended: there is nothing left to run.
    pub fn init_ended(&self, status: ExitStatus) -> ! {
        let code = match status {
            ExitStatus::Exited(code) => code,
            // As a shell shows it.
            ExitStatus::Killed { signal, .. } => 128 + signal.number(),
        };
        log::info!("init ended: {status:?}");
        framework::power::off(code)
    }
}
