//! Scheduling of futures on per-CPU queues with work stealing.
#![no_std]
#![forbid(unsafe_code)]
#![allow(missing_docs)]
#[derive(Clone, Debug)]
pub struct TaskRef;
impl TaskRef { pub fn wake(&self) {} }
pub async fn yield_now() {}
pub fn preempt() -> bool { false }
pub mod wait {
    #[derive(Debug)]
    pub struct WaitQueue;
    pub struct Listener;
    impl WaitQueue { pub fn listen(&self, _m: u32, _e: bool) -> Listener { Listener } 
       pub const fn new() -> Self { Self } pub fn wake_all(&self, _m: u32) {} }
    impl core::future::Future for Listener { type Output = (); fn poll(self: core::pin::Pin<&mut Self>, _c: &mut core::task::Context<'_>) -> core::task::Poll<()> { core::task::Poll::Pending } }
}
