//! The broker of a run, as scripts/broker tells of it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process;

use crate::Failure;

/// A node that is running.
#[derive(Debug, Clone)]
pub struct Broker {
    pub url: String,
    pub pid: u32,
    pub release: String,
}

impl Broker {
    /// The one in a directory of scripts/broker.
    pub fn in_directory(directory: &Path) -> Result<Broker, Failure> {
        let file = directory.join("env");
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}; scripts/broker start", file.display()))?;
        let values: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |key: &str| {
            values.get(key).copied().ok_or_else(|| format!("{} has no {key}", file.display()))
        };
        Ok(Broker {
            url: value("AMQP_URL")?.to_owned(),
            pid: value("PID")?.parse().map_err(|_| "no broker runs there")?,
            release: value("RELEASE")?.to_owned(),
        })
    }
}

/// Names of queues that no other run uses at the same time.
pub fn queue_names(number: usize) -> Vec<String> {
    (0..number).map(|index| format!("forward-{}-{index:04}", process::id())).collect()
}
