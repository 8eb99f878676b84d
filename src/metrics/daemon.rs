//! What is said of the daemon as a whole.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{BROKEN_FILES, BUILD, DROPPED, LOAD_AT, LOAD_OK, RELOADS, STOPPING};
use crate::delivery;
use crate::desk::View;

pub(super) fn encode(view: &View, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    BUILD.info([env!("CARGO_PKG_VERSION")], encoder)?;
    STOPPING.gauge(encoder)?.sample([], u64::from(view.stopping))?;
    let (reloads, failed) = view.reloads;
    let mut samples = RELOADS.counter(encoder)?;
    samples.sample(["ok"], reloads.saturating_sub(failed))?;
    samples.sample(["failed"], failed)?;
    LOAD_OK.gauge(encoder)?.sample([], u64::from(view.loaded.is_well()))?;
    LOAD_AT.gauge(encoder)?.time([], view.loaded.at)?;
    // Where all was refused, no agent file was looked at.
    let broken = view.loaded.result.as_ref().map_or(0, |changes| changes.broken_files);
    BROKEN_FILES.gauge(encoder)?.sample([], broken as u64)?;
    DROPPED.counter(encoder)?.sample([], delivery::dropped_unsettled())
}
