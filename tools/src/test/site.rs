//! One machine that suites run on: its kind, its CPUs, and where its files go.

use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    initramfs::Initramfs,
    machine::{Kind, Machine},
};

/// A machine and its directory below the tests' own.
pub(super) struct Site {
    /// It has no initial RAM disk yet.
    pub(super) machine: Machine,
    /// Images and logs of this machine.
    pub(super) work: PathBuf,
    label: String,
}

impl Site {
    /// A machine of this kind with `smp` CPUs.
    pub(super) fn new(kernel: &Path, kind: Kind, smp: u32, work: &Path) -> Result<Self> {
        let kind_name = if kind == Kind::Q35 { "q35" } else { "microvm" };
        let work = work.join(format!("{kind_name}-{smp}"));
        fs::create_dir_all(&work).with_context(|| format!("creating {}", work.display()))?;
        let machine = Machine {
            kernel: kernel.to_owned(),
            initrd: None,
            disks: vec![],
            // no5lvl: Linux then has the address space of the host's.
            append: "console=ttyS0 quiet panic=-1 no5lvl".into(),
            kind,
            smp,
            memory: "512M".into(),
            extra: vec![],
        };
        Ok(Self { machine, work, label: format!("{kind_name} SMP={smp}") })
    }

    /// A case's name as it is reported: with the machine.
    pub(super) fn name(&self, case: &str) -> String {
        format!("{case} [{}]", self.label)
    }

    /// The machine with an initial RAM disk, written as NAME.cpio.
    pub(super) fn machine_with(&self, name: &str, image: &Initramfs) -> Result<Machine> {
        let initrd = self.work.join(format!("{name}.cpio"));
        fs::write(&initrd, image.to_bytes()?)
            .with_context(|| format!("writing {}", initrd.display()))?;
        Ok(Machine { initrd: Some(initrd), ..self.machine.clone() })
    }
}
