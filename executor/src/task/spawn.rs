//! Making tasks.

use super::{TaskRef, root::Root, table};
use crate::{CpuSet, Policy, sched};
use async_task::{Builder, WithInfo};

/// What a new task is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spawn<'a> {
    /// Its name; what is over 15 bytes is cut off.
    pub name: &'a str,
    /// How it competes.
    pub policy: Policy,
    /// Its nice value.
    pub nice: i8,
    /// Where it may run.
    pub affinity: CpuSet,
}

impl<'a> Spawn<'a> {
    /// A fair task of nice 0 that may run anywhere.
    pub const fn named(name: &'a str) -> Self {
        Self { name, policy: Policy::Fair, nice: 0, affinity: CpuSet::ALL }
    }
}

/// Starts a task that runs `future` to its end. Dropping the handle does not stop it.
///
/// # Panics
/// With more than 40960 tasks; who makes tasks for users has a lower limit.
pub fn spawn(how: Spawn<'_>, future: impl Future<Output = ()> + Send + 'static) -> TaskRef {
    let task = table::allocate().expect("the limit of process ids is below that of tasks");
    let record = task.record();
    record.name.set(how.name);
    record.set_policy(how.policy);
    record.set_nice(how.nice);
    record.set_affinity(how.affinity);
    let (runnable, handle) = Builder::new()
        .metadata(task.clone())
        .spawn(|_| Root::new(future), WithInfo(sched::schedule));
    record.set_waker(Some(runnable.waker()));
    handle.detach();
    sched::start(runnable);
    task
}
