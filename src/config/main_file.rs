//! The main file: the daemon's own settings and what agents inherit.

use std::num::NonZeroUsize;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::Environment;
use super::admin::admin_settings;
use super::definition::{AdminSettings, DaemonSettings, LogFormat, LogSettings};
use super::deserialize::deserialize;
use super::report::Report;
use super::resolve::{choice, period_within, whole_within};
use super::source_map::FileId;
use super::spec::{LogSpec, MainSpec};
use super::tracing::tracing;
use super::tree::{Table, inherit, inherit_each};
use crate::logging;

impl Default for DaemonSettings {
    /// What holds without a main file.
    fn default() -> Self {
        Self {
            threads: None,
            drain_timeout: Duration::from_secs(30),
            log: LogSettings { format: LogFormat::Auto, level: "info".to_owned() },
            admin: AdminSettings::default(),
            tracing: None,
        }
    }
}

/// What every agent inherits.
#[derive(Debug, Default)]
pub(super) struct Defaults<'t> {
    agent: Table<'t>,
    backend: Table<'t>,
}

impl<'t> Defaults<'t> {
    /// Puts into an agent's `table` what it leaves out.
    pub(super) fn apply(&self, table: &mut Table<'t>) {
        inherit(table, &self.agent);
        inherit_each(table, "backend", &self.backend);
    }
}

/// What holds without a main file: spans may be asked for by environment variables.
pub(super) fn without(environment: &impl Environment, report: &mut Report<'_>) -> DaemonSettings {
    DaemonSettings { tracing: tracing(None, environment, report), ..DaemonSettings::default() }
}

/// What the main file, read as `table`, says.
pub(super) fn main_file<'t>(
    file: FileId,
    mut table: Table<'t>,
    environment: &impl Environment,
    report: &mut Report<'t>,
) -> (DaemonSettings, Defaults<'t>) {
    // Takes what is wrong out of the table, so that no agent inherits it.
    let spec: MainSpec = deserialize(file, &mut table, report);
    let mut settings = settings(&spec, file, report);
    settings.tracing = tracing(spec.tracing.as_ref(), environment, report);
    let mut agent = taken(&mut table, "defaults");
    let backend = taken(&mut agent, "backend");
    (settings, Defaults { agent, backend })
}

fn taken<'t>(table: &mut Table<'t>, key: &str) -> Table<'t> {
    match table.remove(key).map(Spanned::into_inner) {
        Some(DeValue::Table(inner)) => inner,
        None
        | Some(
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_),
        ) => Table::new(),
    }
}

fn settings(spec: &MainSpec, file: FileId, report: &mut Report<'_>) -> DaemonSettings {
    const HOUR: Duration = Duration::from_hours(1);
    let mut settings = DaemonSettings::default();
    if let Some(daemon) = spec.daemon.as_ref().map(Spanned::get_ref) {
        let threads: Option<u32> =
            whole_within(daemon.threads.as_ref(), "threads", 1..=1024, report);
        settings.threads =
            threads.and_then(|threads| NonZeroUsize::new(usize::try_from(threads).ok()?));
        let drain = daemon.drain_timeout.as_ref();
        if let Some(drain) = period_within(drain, "drain_timeout", Duration::ZERO..=HOUR, report) {
            settings.drain_timeout = drain;
        }
    }
    if let Some(log) = spec.log.as_ref().map(Spanned::get_ref) {
        settings.log = log_settings(log, settings.log, report);
    }
    if let Some(admin) = spec.admin.as_ref().map(Spanned::get_ref) {
        settings.admin = admin_settings(admin, file, report);
    }
    settings
}

fn log_settings(spec: &LogSpec, mut log: LogSettings, report: &mut Report<'_>) -> LogSettings {
    const FORMATS: [(&str, LogFormat); 4] = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journal", LogFormat::Journal),
    ];
    if let Some(format) = choice(spec.format.as_ref(), "format", &FORMATS, report) {
        log.format = format;
    }
    if let Some(level) = &spec.level {
        if logging::filter(level.get_ref()).is_err() {
            report.spoil(
                &level.span(),
                "`level` is no level of logging",
                "use `error`, `warn`, `info`, `debug` or `trace`, or a list: \"info,amqprs=warn\"",
            );
        }
        log.level.clone_from(level.get_ref());
    }
    log
}
