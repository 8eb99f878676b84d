//! From a spec to a definition, or every reason why not.
//!
//! Each part returns something usable even where it reported an error, so that the parts after
//! it are looked at too; the definition is only handed out if nothing was reported.

mod source;
mod brokers;
mod management;
mod address;
mod tls;
mod queue;
mod exchange;
mod policy;
mod retry;
mod delays;
mod native;
mod dead_letter;
mod loops;
mod backend;
mod urls;
mod headers;
mod status;
mod number;
mod names;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::definition::AgentDefinition;
use super::report::{Report, quoted};
use super::source_map::{FileId, Span};
use super::spec::AgentSpec;
use crate::broker::CopyQueue;
use crate::copies;
use names::short_string;
use number::{Limits, number, period, whole};
pub(super) use number::{choice, period_within, share, whole_within};

const AGENT_NAME_CHARACTERS_MAX: usize = 64;

/// An agent that is valid by itself, with the places that a conflict is reported at.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The agent.
    pub definition: AgentDefinition,
    /// Its file.
    pub file: FileId,
    /// False: it is checked and not run.
    pub enabled: bool,
    /// The name, or the start of the file.
    pub name: Span,
    /// The queue's name.
    pub queue: Span,
    /// The exchange's name, or the queue's.
    pub exchange: Span,
    /// The name of the dead-letter queue, in this file or inherited, or the queue's.
    pub dead_letter: Span,
    /// The waits, or the queue's name.
    pub delays: Span,
    /// The queues that it declares for its copies.
    pub copies: Vec<CopyQueue>,
}

/// What the parts of a resolution share.
struct Scope<'r, 't> {
    report: &'r mut Report<'t>,
    /// The agent's file.
    file: FileId,
    /// The start of it.
    start: Span,
}

impl Scope<'_, '_> {
    /// Whether what stands at `span` comes from the main file's defaults.
    fn is_inherited(&self, span: &Span) -> bool {
        self.report.sources.file(span) != self.file
    }

    /// `path` as it is meant by the file that `span` is in: relative to that file's directory.
    fn located(&self, span: &Span, path: &str) -> PathBuf {
        let file = self.report.sources.path(self.report.sources.file(span));
        file.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// What `spec`, read from `file`, means.
pub(super) fn resolve(
    spec: &AgentSpec,
    file: FileId,
    report: &mut Report<'_>,
) -> Option<Candidate> {
    let base = report.sources.base(file);
    let mut scope = Scope { report, file, start: base..base };
    let (name, name_span) = agent_name(spec, &mut scope);
    let mut source = source::source(spec, &mut scope);
    let retry = retry::retry(spec, &mut source, &mut scope);
    let timeout = attempt_timeout(spec, &mut scope);
    let definition = AgentDefinition {
        name,
        file: scope.report.sources.path(file).to_owned(),
        workers: policy::workers(spec, source.prefetch_count, &mut scope),
        timeout,
        max_rate: policy::max_rate(spec, source.prefetch_count, &mut scope),
        reconnect: policy::reconnect(spec, &mut scope),
        dispatch: policy::dispatch(spec, &mut scope),
        dead_letter: dead_letter::dead_letter(spec, &source, &retry, &mut scope),
        retry,
        hold_max: policy::hold_max(spec, &mut scope),
        backends: backend::backends(spec, timeout, &mut scope),
        source,
    };
    if report.is_broken(file) {
        return None;
    }
    let amqp = spec.amqp.as_ref().map(toml::Spanned::get_ref)?;
    let queue = amqp.name.as_ref()?.span();
    let dead_letter = spec.dead_letter.as_ref().and_then(|keys| keys.get_ref().queue.as_ref());
    let dead_letter = dead_letter.map(toml::Spanned::span);
    let delays = spec.retry.as_ref().and_then(|keys| keys.get_ref().delays.as_ref());
    Some(Candidate {
        copies: copies::queues(&definition),
        definition,
        file,
        enabled: spec.enabled.as_ref().is_none_or(|enabled| *enabled.get_ref()),
        name: name_span,
        exchange: amqp.exchange.as_ref().map_or(queue.clone(), toml::Spanned::span),
        delays: delays.map_or(queue.clone(), toml::Spanned::span),
        dead_letter: dead_letter.unwrap_or(queue.clone()),
        queue,
    })
}

fn agent_name(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> (Arc<str>, Span) {
    let path = scope.report.sources.path(scope.file);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (name, span) = match &spec.name {
        Some(name) => (name.get_ref().clone(), name.span()),
        None => (stem, scope.start.clone()),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let length = name.chars().count();
    let wrong = if name.is_empty() {
        Some("is empty".to_owned())
    } else if length > AGENT_NAME_CHARACTERS_MAX {
        Some(format!("has {length} characters"))
    } else {
        name.chars().find(|c| !legal(*c)).map(|c| format!("has a {}", quoted(&c.to_string())))
    };
    if let Some(wrong) = wrong {
        let (what, remedy) = if spec.name.is_some() {
            ("the agent's name", "use")
        } else {
            ("the agent's name, which the file's is,", "set `name` or rename the file:")
        };
        scope.report.error(
            &span,
            format!("{what} {wrong}"),
            format!("{remedy} 1 to 64 letters, digits, `.`, `_` and `-`"),
        );
    }
    (name.into(), span)
}

fn attempt_timeout(spec: &AgentSpec, scope: &mut Scope<'_, '_>) -> Duration {
    let consumer = spec.consumer.as_ref().map(toml::Spanned::get_ref);
    timeout(consumer.and_then(|consumer| consumer.timeout.as_ref()), scope)
        .unwrap_or(Duration::from_secs(5))
}

/// The value of a `timeout`.
fn timeout(
    key: Option<&toml::Spanned<super::value::Period>>,
    scope: &mut Scope<'_, '_>,
) -> Option<Duration> {
    /// RabbitMQ closes the channel of a consumer that keeps a message for longer.
    const CONSUMER_TIMEOUT: Duration = Duration::from_mins(30);
    let limits = Limits {
        key: "timeout",
        lowest: Duration::from_millis(1),
        highest: Duration::from_hours(24),
        because: "",
    };
    let value = period(key, &limits, scope.report)?;
    if let Some(key) = key
        && value >= CONSUMER_TIMEOUT
    {
        scope.report.warning(
            &key.span(),
            "RabbitMQ takes a message back, and closes the channel, after 30 minutes",
            "use less, or raise the broker's consumer_timeout above it",
        );
    }
    Some(value)
}

/// The value of a boolean key.
fn flag(key: Option<&toml::Spanned<bool>>) -> bool {
    key.is_some_and(|value| *value.get_ref())
}
