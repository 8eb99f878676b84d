//! What the daemon shows to Prometheus: a [`View`] as text, made when somebody asks for it.
//!
//! Nothing is kept here and nothing is counted here: [`crate::meters`] has the numbers, and an agent
//! that counts knows nothing of this module. docs/metrics.md tells the user what each metric means; a
//! test holds it to what is written here.

mod agents;
mod catalogue;
mod daemon;
mod format;
mod metric;
mod process;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

pub use format::Format;

use crate::desk::View;
use process::Process;

/// The whole answer to `GET /metrics`.
///
/// Takes some milliseconds for each hundred agents, and asks the kernel about this process.
#[must_use]
pub fn render(view: View, format: Format) -> String {
    written(Scrape { view, process: process::now() }, format)
}

fn written(scrape: Scrape, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut written = String::new();
    text::encode(&mut written, &registry).expect("a String takes all that is written to it");
    match format {
        Format::OpenMetrics => written,
        Format::Text => format::without_openmetrics(&written),
    }
}

/// What one scrape shows.
#[derive(Debug)]
struct Scrape {
    view: View,
    /// `None` where the kernel doesn't tell.
    process: Option<Process>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        daemon::encode(&self.view, &mut encoder)?;
        agents::encode(&self.view.agents, &mut encoder)?;
        process::encode(self.process.as_ref(), self.view.started, &mut encoder)
    }
}

#[cfg(test)]
mod tests;
