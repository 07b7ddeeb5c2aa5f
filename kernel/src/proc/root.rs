//! The root of `/proc`: processes by number, and files about the system.

use super::{entry, full, machine, objects, target::Target};
use crate::{
    cred,
    system::{RELEASE, SYSNAME, System, VERSION},
};
use abi::{Errno, Pid, Result};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt;
use fs::{
    Caller, Kind, MagicLink,
    generated::{Body, Content, Listed, Listing, Node, Tree, Written},
};

/// The directory's own entries for processes.
struct Processes(&'static System);

impl Listing for Processes {
    fn find(&self, name: &[u8], _caller: &Caller<'_>) -> Result<Node> {
        let number = entry::parse_number(name).and_then(Pid::new).ok_or(Errno::ENOENT)?;
        let target = Target::process_of(self.0, number);
        target.process().map_err(|_| Errno::ENOENT)?;
        Ok(entry::directory(target))
    }

    fn next(&self, position: u64, _caller: &Caller<'_>) -> Result<Option<Listed>> {
        let from = u32::try_from(position).unwrap_or(u32::MAX);
        let next = self.0.pids.lock().next_process(from);
        Ok(next.map(|pid| Listed {
            name: entry::number_name(pid.get()),
            kind: Kind::Directory,
            number: u64::from(pid.get()) << 16 | 0xffff,
            position: u64::from(pid.get()),
        }))
    }
}

/// `/proc/self` and `/proc/thread-self`.
struct Own(fn(&Caller<'_>) -> String);

impl MagicLink for Own {
    fn text(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        if caller.process == 0 {
            return Err(Errno::ENOENT);
        }
        Ok((self.0)(caller).into_bytes())
    }
}

fn own(text: fn(&Caller<'_>) -> String) -> Node {
    Node::new(Body::MagicLink(Arc::new(Own(text))))
}

/// Makes the tree.
pub(super) fn tree(system: &'static System) -> Arc<Tree> {
    let root = Tree::listing(Processes(system));
    for (name, show) in machine::FILES {
        root.file(name.as_bytes(), move |out: &mut dyn fmt::Write| show(system, out));
    }
    root.add(b"self", own(|caller| format!("{}", caller.process)));
    root.add(b"thread-self", own(|caller| format!("{}/task/{}", caller.process, caller.thread)));
    root.symlink(b"mounts", b"self/mounts");
    let kmsg = Body::Special(Arc::new(crate::file::KernelMessages));
    root.add(b"kmsg", Node::new(kmsg).mode(0o400));
    settings(system, &root.directory(b"sys"));
    root
}

/// A setting of `/proc/sys`: shown, and stored if it can be.
struct Setting {
    show: fn(&'static System) -> String,
    store: Option<fn(&'static System, &str) -> Result<()>>,
    system: &'static System,
}

impl Content for Setting {
    fn show(&self, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        writeln!(out, "{}", (self.show)(self.system)).map_err(full)
    }

    fn store(&self, bytes: &[u8], _caller: &Caller<'_>) -> Result<Written> {
        let store = self.store.ok_or(Errno::EPERM)?;
        let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
        store(self.system, text.trim_end_matches('\n'))?;
        Ok(Written::All)
    }
}

/// `/proc/sys`.
///
/// Source: proc_sys_kernel(5), proc_sys_fs(5), proc_sys_vm(5)
fn settings(system: &'static System, sys: &Tree) {
    let fixed = |tree: &Tree, name: &str, show: fn(&'static System) -> String| {
        tree.file(name.as_bytes(), Setting { show, store: None, system });
    };
    let kernel = sys.directory(b"kernel");
    fixed(&kernel, "ostype", |_| String::from(SYSNAME));
    fixed(&kernel, "osrelease", |_| String::from(RELEASE));
    fixed(&kernel, "version", |_| String::from(VERSION));
    fixed(&kernel, "pid_max", |_| format!("{}", crate::process::PID_MAX));
    fixed(&kernel, "threads-max", |_| format!("{}", crate::process::max_threads()));
    fixed(&kernel, "ngroups_max", |_| String::from("65536"));
    fixed(&kernel, "cap_last_cap", |_| String::from("40"));
    fixed(&kernel, "randomize_va_space", |_| String::from("2"));
    fixed(&kernel, "overflowuid", |_| String::from("65534"));
    fixed(&kernel, "overflowgid", |_| String::from("65534"));
    names(system, &kernel);
    let random = kernel.directory(b"random");
    fixed(&random, "boot_id", |system| String::from(system.boot_id()));
    fixed(&random, "uuid", |system| crate::system::uuid(&system.random));
    // The generator is seeded for good before the first program runs.
    fixed(&random, "entropy_avail", |_| String::from("256"));
    fixed(&random, "poolsize", |_| String::from("256"));
    let vm = sys.directory(b"vm");
    fixed(&vm, "overcommit_memory", |_| String::from("0"));
    fixed(&vm, "max_map_count", |_| format!("{}", crate::memory::MAX_MAPPINGS));
    let fs = sys.directory(b"fs");
    fixed(&fs, "file-max", |_| format!("{}", crate::file::max_files()));
    fixed(&fs, "file-nr", objects::file_numbers);
    fixed(&fs, "inode-nr", objects::inode_numbers);
    fixed(&fs, "inode-state", objects::inode_state);
    fixed(&fs, "dentry-state", objects::dentry_state);
    let epoll = fs.directory(b"epoll");
    fixed(&epoll, "max_user_watches", |_| format!("{}", cred::max_epoll_watches()));
    let inotify = fs.directory(b"inotify");
    fixed(&inotify, "max_user_instances", |_| format!("{}", cred::MAX_INOTIFY_INSTANCES));
    fixed(&inotify, "max_user_watches", |_| format!("{}", cred::max_inotify_watches()));
    fixed(&inotify, "max_queued_events", |_| format!("{}", fs::notify::QUEUE_MAX));
    fixed(&fs, "nr_open", |_| format!("{}", crate::file::MAX_FDS));
    fixed(&fs, "pipe-max-size", |_| format!("{}", fs::pipe::SIZE_LIMIT));
}

/// The names of the host, which can be changed here.
fn names(system: &'static System, kernel: &Tree) {
    let add = |name: &str, setting: Setting| {
        let body = Body::File(Arc::new(setting));
        kernel.add(name.as_bytes(), Node::new(body).mode(0o644));
    };
    let hostname = Setting {
        show: |system| String::from_utf8_lossy(&system.uts.read().nodename).into_owned(),
        store: Some(|system, text| {
            system.uts.write().nodename = name(text);
            Ok(())
        }),
        system,
    };
    add("hostname", hostname);
    let domainname = Setting {
        show: |system| String::from_utf8_lossy(&system.uts.read().domainname).into_owned(),
        store: Some(|system, text| {
            system.uts.write().domainname = name(text);
            Ok(())
        }),
        system,
    };
    add("domainname", domainname);
}

/// A name of at most 64 bytes.
fn name(text: &str) -> Vec<u8> {
    text.bytes().take(64).collect()
}
