//! A row of the table, and what a handler returns.

use super::args::{Args, Kind};
use crate::thread::Thread;
use abi::Result;
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

/// How a call is carried out.
#[derive(Clone, Copy)]
pub enum Handler {
    /// The thread stays as it is.
    Call(for<'a> fn(&'a Thread, &Args) -> Result<Outcome<'a>>),
    /// The call changes the thread itself: registers, address space, credentials.
    CallMut(for<'a> fn(&'a mut Thread, &Args) -> Result<Outcome<'a>>),
}

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

/// What the handler functions may return.
pub trait IntoOutcome<'a> {
    /// Makes it what the table's handlers return.
    ///
    /// # Errors
    /// The handler's.
    fn into_outcome(self) -> Result<Outcome<'a>>;
}

impl<'a> IntoOutcome<'a> for Result<Outcome<'a>> {
    fn into_outcome(self) -> Result<Outcome<'a>> {
        self
    }
}

impl<'a> IntoOutcome<'a> for Result<usize> {
    fn into_outcome(self) -> Result<Outcome<'a>> {
        self.map(Outcome::Done)
    }
}

impl<'a> IntoOutcome<'a> for Result<()> {
    fn into_outcome(self) -> Result<Outcome<'a>> {
        self.map(|()| Outcome::Done(0))
    }
}

impl<'a> IntoOutcome<'a> for usize {
    fn into_outcome(self) -> Result<Outcome<'a>> {
        Ok(Outcome::Done(self))
    }
}

/// A call that always waits.
impl<'a> IntoOutcome<'a> for BoxFuture<'a, Result<usize>> {
    fn into_outcome(self) -> Result<Outcome<'a>> {
        Ok(Outcome::Wait(self))
    }
}

/// Makes a [`Row`]: `row!(0 "read" (fd: Fd, buf: UserPtr<u8>, count: usize) => file::read, Full)`.
///
/// `mut` before the number makes it a [`Handler::CallMut`]. After the support level, a string says
/// what is missing.
macro_rules! row {
    (mut $number:literal $($rest:tt)*) => {
        $crate::syscall::row::row!(@row CallMut (&mut $crate::thread::Thread) $number $($rest)*)
    };
    (@row $variant:ident ($thread:ty) $number:literal $name:literal
        ($($arg:ident : $kind:ty),* $(,)?) => $handler:path, $support:ident $(, $gaps:literal)?) => {
        $crate::syscall::Row {
            number: $number,
            name: $name,
            arguments: &[$($crate::syscall::Argument {
                name: stringify!($arg),
                kind: <$kind as $crate::syscall::FromArg>::KIND,
            }),*],
            handler: $crate::syscall::Handler::$variant(|thread, args| {
                let mut index = 0..6_usize;
                $(let $arg = args.get::<$kind>(index.next().unwrap_or(5))?;)*
                let _ = (args, &mut index);
                $crate::syscall::IntoOutcome::into_outcome($handler(thread $(, $arg)*))
            }),
            support: $crate::syscall::Support::$support,
            gaps: concat!($($gaps)?),
        }
    };
    ($number:literal $($rest:tt)*) => {
        $crate::syscall::row::row!(@row Call (&$crate::thread::Thread) $number $($rest)*)
    };
}
pub(crate) use row;
