//! The values a running system is made of; a namespace is another instance of one of them.

use crate::process::PidTable;
use alloc::{boxed::Box, string::String};
use spin::{Mutex, RwLock};

/// The names uname(2) returns that can change.
#[derive(Clone, Debug)]
pub struct UtsName {
    /// The host's name, at most 64 bytes.
    pub nodename: String,
    /// The NIS domain's name, at most 64 bytes.
    pub domainname: String,
}

/// Everything there is once in a running system.
#[derive(Debug)]
pub struct System {
    /// All threads, processes, process groups and sessions by number.
    pub pids: PidTable,
    /// The host's names.
    pub uts: RwLock<UtsName>,
    /// Why the machine goes down once init has ended.
    pub last_words: Mutex<Option<String>>,
}

impl System {
    /// Makes a system without processes. It lives as long as the machine.
    pub fn new(hostname: &str) -> &'static Self {
        Box::leak(Box::new(Self {
            pids: PidTable::new(),
            uts: RwLock::new(UtsName {
                nodename: String::from(hostname),
                domainname: String::from("(none)"),
            }),
            last_words: Mutex::new(None),
        }))
    }
}
