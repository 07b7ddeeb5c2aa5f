//! A row of the table, and what its handler returns.

use super::args::Kind;
use crate::thread::Thread;
use abi::{Errno, Result};
use alloc::boxed::Box;
use core::future::ready;
use futures_util::future::BoxFuture;

/// What a handler has to say when nothing went wrong.
pub enum Outcome<'a> {
    /// The call's result.
    Done(usize),
    /// The call waits; the future returns its result. Polled in place by the thread's loop.
    Wait(BoxFuture<'a, Result<usize>>),
}

impl Outcome<'_> {
    /// Waits if there is something to wait for.
    pub async fn finish(self) -> Result<usize> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Wait(future) => future.await,
        }
    }
}

/// What carries a call out: takes the arguments from the thread's registers, and sets `rax`.
pub type Handler = for<'a> fn(&'a mut Thread) -> Wait<'a>;

/// What is left of a call that waits: the future returns its result, and is polled in place by the
/// thread's loop. Nothing, and the result is in `rax`, if the call is done.
pub type Wait<'a> = Option<BoxFuture<'a, Result<usize>>>;

/// How much of a call there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// All of it.
    Full,
    /// Some of it; the row's `gaps` says what is missing.
    Partial,
}

/// An argument as traces show it.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The name, as in the man page.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
}

/// A system call.
pub struct Row {
    /// The number in `rax`.
    pub number: u16,
    /// The name.
    pub name: &'static str,
    /// The arguments.
    pub arguments: &'static [Argument],
    /// What carries it out.
    pub handler: Handler,
    /// How much of it there is.
    pub support: Support,
    /// What is missing, in words.
    pub gaps: &'static str,
}

/// What the functions behind the handlers may return.
pub trait Answer<'a> {
    /// Puts a result into `rax`, or says how to wait for it.
    fn give(self, thread: &Thread) -> Wait<'a>;
}

impl<'a> Answer<'a> for Result<Outcome<'a>> {
    #[inline]
    fn give(self, thread: &Thread) -> Wait<'a> {
        match self {
            Ok(Outcome::Done(value)) => value.give(thread),
            Ok(Outcome::Wait(future)) => Some(future),
            Err(errno) => fail(thread, errno),
        }
    }
}

impl<'a> Answer<'a> for Result<usize> {
    #[inline]
    fn give(self, thread: &Thread) -> Wait<'a> {
        match self {
            Ok(value) => value.give(thread),
            Err(errno) => fail(thread, errno),
        }
    }
}

impl<'a> Answer<'a> for Result<()> {
    #[inline]
    fn give(self, thread: &Thread) -> Wait<'a> {
        self.map(|()| 0).give(thread)
    }
}

impl<'a> Answer<'a> for usize {
    #[inline]
    fn give(self, thread: &Thread) -> Wait<'a> {
        thread.context.set_result(self);
        None
    }
}

/// A call that always waits.
impl<'a> Answer<'a> for BoxFuture<'a, Result<usize>> {
    fn give(self, _thread: &Thread) -> Wait<'a> {
        Some(self)
    }
}

/// A call has failed.
#[cold]
pub fn fail<'a>(thread: &Thread, errno: Errno) -> Wait<'a> {
    if errno.is_restart() {
        // The loop looks at how a call goes on only where calls wait.
        return Some(Box::pin(ready(Err(errno))));
    }
    errno.to_return_value().give(thread)
}

/// Makes a [`Row`]: `row!(0 "read" (fd: Fd, buf: UserPtr<u8>, count: usize) => file::read, Full)`.
///
/// The function takes the thread, `&Thread` or `&mut Thread`, and the arguments. After the support
/// level, a string says what is missing. With `async` before the number, the function returns a
/// boxed future, which may keep a `&mut Thread`.
macro_rules! row {
    (async $($rest:tt)*) => {
        $crate::syscall::row::row!(@row async $($rest)*)
    };
    (@row $kind:ident $number:literal $name:literal ($($arg:ident : $type:ty),* $(,)?)
        => $function:path, $support:ident $(, $gaps:literal)?) => {
        $crate::syscall::Row {
            number: $number,
            name: $name,
            arguments: &[$($crate::syscall::Argument {
                name: stringify!($arg),
                kind: <$type as $crate::syscall::FromArg>::KIND,
            }),*],
            handler: |thread| {
                let mut index = 0..6_usize;
                $(
                    let raw = $crate::syscall::argument(thread, index.next().unwrap_or(5));
                    let $arg = match <$type as $crate::syscall::FromArg>::from_arg(raw) {
                        Ok(value) => value,
                        Err(errno) => return $crate::syscall::fail(thread, errno),
                    };
                )*
                let _ = &mut index;
                $crate::syscall::row::row!(@call $kind thread $function(thread $(, $arg)*))
            },
            support: $crate::syscall::Support::$support,
            gaps: concat!($($gaps)?),
        }
    };
    (@call async $thread:ident $call:expr) => {
        Some($call)
    };
    (@call plain $thread:ident $call:expr) => {
        $crate::syscall::Answer::give($call, $thread)
    };
    ($number:literal $($rest:tt)*) => {
        $crate::syscall::row::row!(@row plain $number $($rest)*)
    };
}
pub(crate) use row;
