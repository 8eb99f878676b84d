//! What the kernel knows of this process, under the names that every exporter has.

use std::fmt;
use std::time::SystemTime;

use procfs::process::{LimitValue, Process as OfKernel};
use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{CPU, OPEN_FILES, OPEN_FILES_MAX, RESIDENT, STARTED, THREADS, VIRTUAL};

/// This process at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_files: u64,
    /// `None` is no limit.
    pub(super) open_files_max: Option<u64>,
    pub(super) threads: u64,
}

/// Asks the kernel; `None` where it doesn't tell, as without a `/proc`.
pub(super) fn now() -> Option<Process> {
    let process = OfKernel::myself().ok()?;
    let stat = process.stat().ok()?;
    let limits = process.limits().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of centuries have 52 bits")]
    let cpu_seconds = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Some(Process {
        cpu_seconds,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        open_files: process.fd_count().ok()? as u64,
        open_files_max: match limits.max_open_files.soft_limit {
            LimitValue::Value(max) => Some(max),
            LimitValue::Unlimited => None,
        },
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
    })
}

/// The start is ours: the kernel counts it from its own, which the unit's `ProcSubset=pid` hides.
pub(super) fn encode(
    process: Option<&Process>,
    started: SystemTime,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    STARTED.gauge(encoder)?.time([], started)?;
    let Some(process) = process else { return Ok(()) };
    CPU.counter(encoder)?.seconds([], process.cpu_seconds)?;
    for (metric, value) in [
        (&RESIDENT, process.resident_bytes),
        (&VIRTUAL, process.virtual_bytes),
        (&OPEN_FILES, process.open_files),
        (&THREADS, process.threads),
    ] {
        metric.gauge(encoder)?.sample([], value)?;
    }
    if let Some(max) = process.open_files_max {
        OPEN_FILES_MAX.gauge(encoder)?.sample([], max)?;
    }
    Ok(())
}
