//! The values a running system is made of; a namespace is another instance of one of them.

use crate::{
    cred::Users,
    file::Devices,
    filesystems::FileSystems,
    futex::FutexTable,
    process::{Counters, ExitStatus, PidTable},
    socket,
    syscall::Calls,
    time::Load,
};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use fs::{AnonymousFs, MountTable};
use io::mem::Entropy;
use spin::{Once, RwLock};

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
    /// The types of file systems.
    pub file_systems: FileSystems,
    /// What the kernel was started with (`/proc/cmdline`).
    pub command_line: Once<String>,
    /// Set if process 1 is a program like any other and no init: signals end it, and the kernel
    /// waits for the orphans it is given.
    pub serves_one_program: Once<()>,
    /// How threads find their system calls, if not plainly.
    traced: Once<Calls>,
    /// Who has something to say before the machine stops.
    last_words: RwLock<Vec<Arc<dyn LastWords>>>,
    /// A number of this boot, as UUID.
    boot_id: String,
    /// Where pipes have their inodes.
    pub pipes: AnonymousFs,
    /// Where sockets have their inodes.
    pub sockets: AnonymousFs,
    /// The abstract names of UNIX sockets.
    pub unix_names: net::unix::Space<socket::Passed>,
    /// What each user has of things he may have only so many of.
    pub users: Users,
    /// Page faults of threads that have ended.
    pub ended_faults: Counters,
    /// Where memfds have their inodes.
    pub memory_files: fs::ramfs::Memory,
    /// Where eventfd and its like have their inodes.
    pub anonymous: AnonymousFs,
}

/// Something that holds back output of programs.
pub trait LastWords: Send + Sync {
    /// Sends everything, holding the CPU until it is done.
    fn say(&self);
}

impl LastWords for io::stream::Terminal {
    fn say(&self) {
        self.finish();
    }
}

impl core::fmt::Debug for dyn LastWords {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LastWords")
    }
}

fn memory_files() -> fs::ramfs::Memory {
    let kernel = fs::Caller::new(fs::Credentials::ROOT, crate::time::realtime_coarse);
    fs::ramfs::Memory::new(&kernel).expect("an empty file system without options")
}

impl System {
    /// Makes a system without processes. It lives as long as the machine.
    pub fn new(hostname: &str, mounts: MountTable) -> &'static Self {
        let random = Entropy::new();
        let boot_id = uuid(&random);
        Box::leak(Box::new(Self {
            pids: PidTable::new(),
            uts: RwLock::new(UtsName {
                nodename: hostname.as_bytes().to_vec(),
                domainname: b"(none)".to_vec(),
            }),
            load: Load::new(),
            random,
            futexes: FutexTable::new(),
            devices: Devices::default(),
            mounts,
            file_systems: FileSystems::new(),
            command_line: Once::new(),
            serves_one_program: Once::new(),
            traced: Once::new(),
            last_words: RwLock::default(),
            boot_id,
            pipes: AnonymousFs::pipes(),
            sockets: AnonymousFs::sockets(),
            unix_names: net::unix::Space::new(),
            users: Users::new(),
            ended_faults: Counters::default(),
            memory_files: memory_files(),
            anonymous: AnonymousFs::new("anon_inodefs", 0x0904_1934, "anon_inode"),
        }))
    }

    /// The kernel command line.
    pub fn command_line(&self) -> &str {
        self.command_line.get().map_or("", String::as_str)
    }

    /// A random number of this boot, as UUID.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Whether process 1 is an init, which only itself can end.
    pub fn has_init(&self) -> bool {
        !self.serves_one_program.is_completed()
    }

    /// Writes a line about each system call from now on, of threads that are made from now on.
    pub fn trace_calls(&self) {
        self.traced.call_once(|| Calls::Traced);
    }

    /// How new threads find their system calls.
    pub fn calls(&self) -> Calls {
        self.traced.get().copied().unwrap_or(Calls::Plain)
    }

    /// Lets `speaker` speak before the machine stops.
    pub fn speaks_last(&self, speaker: Arc<dyn LastWords>) {
        self.last_words.write().push(speaker);
    }

    /// Sends what programs have written and no device has taken yet: the machine stops.
    pub fn last_words(&self) {
        self.last_words.read().iter().for_each(|speaker| speaker.say());
    }

    /// The first process has ended: there is nothing left to run.
    pub fn init_ended(&self, status: ExitStatus) -> ! {
        let code = match status {
            ExitStatus::Exited(0) => {
                log::info!("init ended");
                0
            }
            ExitStatus::Exited(code) => {
                log::error!("init ended with status {code}");
                code
            }
            ExitStatus::Killed { signal, .. } => {
                log::error!("init was killed by signal {}", signal.number());
                // As a shell shows it.
                128 + signal.number()
            }
        };
        self.last_words();
        framework::power::off(code)
    }
}

/// A random UUID (version 4).
pub fn uuid(random: &Entropy) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    let digits = format!("{number:032x}");
    let (time, rest) = digits.split_at(8);
    format!("{time}-{}-{}-{}-{}", &rest[..4], &rest[4..8], &rest[8..12], &rest[12..])
}

#[cfg(test)]
mod tests {
    use super::uuid;
    use io::mem::Entropy;

    #[test]
    fn uuids_have_their_form() {
        let text = uuid(&Entropy::new());
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
