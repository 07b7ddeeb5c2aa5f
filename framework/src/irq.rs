//! Interrupts as wake-ups.

/// The right to one interrupt line; made at boot, handed to the driver of the device behind it.
#[derive(Debug)]
pub struct IrqLine {
    number: u32,
}

impl IrqLine {
    /// The line's number (a GSI on bare metal), for messages and `/proc/interrupts`.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Completes when the line has fired since the last completion.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: an interrupt that came stays pending.
    pub async fn wait(&self) {
        unimplemented!()
    }
}

/// Interrupts of one line so far, on each CPU, for `/proc/interrupts`.
#[derive(Clone, Debug)]
pub struct Count {
    /// What fires: a line's number, or a name such as `LOC`.
    pub name: alloc::string::String,
    /// What it is for.
    pub what: alloc::string::String,
    /// Times it fired, by CPU.
    pub per_cpu: alloc::vec::Vec<u64>,
}

/// Counts of all lines in use, timer and inter-processor interrupts included.
pub fn counts() -> alloc::vec::Vec<Count> {
    unimplemented!()
}
