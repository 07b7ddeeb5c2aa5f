//! `/proc/PID/cmdline`, `environ`, `auxv` and `comm`: what a program was started with.

use super::{full, target::Target};
use crate::memory::{Access, Memory};
use abi::{Errno, Result};
use alloc::{sync::Arc, vec, vec::Vec};
use core::fmt;
use framework::VirtAddr;
use fs::{
    Caller,
    generated::{Body, Content, Written},
};

/// The longest area shown, the longest that execve(2) makes.
const AREA_MAX: usize = 8 << 20;

/// The bytes between two addresses, as far as they can be read.
fn area(memory: &Memory, (start, end): (VirtAddr, VirtAddr)) -> Result<Vec<u8>> {
    let len = end.get().saturating_sub(start.get()).min(AREA_MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    bytes.resize(len, 0);
    let got = memory.read_at(start, &mut bytes, Access::Forced);
    bytes.truncate(got);
    Ok(bytes)
}

/// Bytes that are not text.
struct Bytes<F>(F);

impl<F> Content for Bytes<F>
where
    F: Fn(&Caller<'_>) -> Result<Vec<u8>> + Send + Sync,
{
    fn show(&self, _out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        Err(Errno::EIO)
    }

    fn bytes(&self, caller: &Caller<'_>) -> Result<Vec<u8>> {
        (self.0)(caller)
    }
}

/// `/proc/PID/cmdline`.
///
/// Source: proc_pid_cmdline(5)
pub(super) fn command_line(target: Target) -> Body {
    Body::File(Arc::new(Bytes(move |_: &Caller<'_>| {
        target.process()?;
        let Some(memory) = target.memory() else { return Ok(Vec::new()) };
        let layout = memory.layout();
        let mut bytes = area(&memory, layout.arguments)?;
        // A program that wrote its title over the end of its arguments goes on in its environment.
        if bytes.last().is_some_and(|last| *last != 0) {
            bytes.extend(area(&memory, layout.environment)?);
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            bytes.truncate(end);
        }
        Ok(bytes)
    })))
}

/// `/proc/PID/environ`.
///
/// Source: proc_pid_environ(5)
pub(super) fn environment(target: Target) -> Body {
    Body::File(Arc::new(Bytes(move |caller: &Caller<'_>| {
        target.check_access(caller)?;
        let Some(memory) = target.memory() else { return Ok(Vec::new()) };
        area(&memory, memory.layout().environment)
    })))
}

/// `/proc/PID/auxv`: found below the strings of the first stack, behind the environment pointers.
///
/// Source: proc_pid_auxv(5)
pub(super) fn auxiliary(target: Target) -> Body {
    Body::File(Arc::new(Bytes(move |caller: &Caller<'_>| {
        target.check_access(caller)?;
        let Some(memory) = target.memory() else { return Ok(Vec::new()) };
        Ok(auxiliary_vector(&memory).unwrap_or_default())
    })))
}

/// Walks the first stack: argument count, pointers, NULL, pointers, NULL, pairs up to `AT_NULL`.
fn auxiliary_vector(memory: &Memory) -> Option<Vec<u8>> {
    /// The most pairs that are looked at.
    const PAIRS: usize = 64;
    const WORD: usize = size_of::<u64>();
    let layout = memory.layout();
    let mut at = layout.stack_start.get();
    let word = |at: usize| {
        let mut bytes = [0; WORD];
        let got = memory.read_at(VirtAddr::new(at), &mut bytes, Access::Forced);
        (got == WORD).then(|| u64::from_le_bytes(bytes))
    };
    let arguments = usize::try_from(word(at)?).ok()?;
    at += WORD * (arguments.checked_add(2)?);
    while word(at)? != 0 {
        at += WORD;
    }
    at += WORD;
    let mut vector = vec![0; PAIRS * 2 * WORD];
    let got = memory.read_at(VirtAddr::new(at), &mut vector, Access::Forced);
    vector.truncate(got);
    let null = |pair: &[u8]| pair[..WORD].iter().all(|byte| *byte == 0);
    let pairs = vector.chunks_exact(2 * WORD).position(null)?;
    vector.truncate((pairs + 1) * 2 * WORD);
    Some(vector)
}

/// `/proc/PID/comm`.
///
/// Source: proc_pid_comm(5)
pub(super) fn name(target: Target) -> Body {
    Body::File(Arc::new(Name(target)))
}

struct Name(Target);

impl Content for Name {
    fn show(&self, out: &mut dyn fmt::Write, _caller: &Caller<'_>) -> Result<()> {
        let process = self.0.process()?;
        let name = self.0.thread().map_or_else(|| process.name(), |thread| thread.name());
        writeln!(out, "{name}").map_err(full)
    }

    fn store(&self, bytes: &[u8], caller: &Caller<'_>) -> Result<Written> {
        if !self.0.is_caller(caller) {
            return Err(Errno::EINVAL);
        }
        self.0.thread().ok_or(Errno::ESRCH)?.set_name(bytes);
        Ok(Written::All)
    }
}
