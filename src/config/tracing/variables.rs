//! OpenTelemetry's environment variables, as far as they are heeded.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{TIMEOUTS, endpoint, is_header_name};
use crate::config::Environment;
use crate::config::error::{Problem, Severity};
use crate::config::report::Report;
use crate::secret::Secret;
use crate::spans::Sampling;

/// OpenTelemetry's environment variables. One that makes no sense is told and passed over, as its
/// specification asks for; its value is never shown.
pub(super) struct Variables<'e, E>(pub(super) &'e E);

impl<E: Environment> Variables<'_, E> {
    /// Its text; one that is empty says as much as none.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = self.0.variable(name)?.into_string().ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The first of several that is set.
    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.text(name)?)))
    }

    pub(super) fn endpoint(&self, report: &mut Report<'_>) -> Option<Url> {
        const FOR_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        if let Some(exporter) = self.text("OTEL_TRACES_EXPORTER")
            && exporter != "otlp"
        {
            if exporter != "none" {
                passed_over(report, "OTEL_TRACES_EXPORTER", "is neither otlp nor none");
            }
            return None;
        }
        let (name, text) = self.first([FOR_TRACES, "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
        let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
        if let Some((protocol, _)) = self.first(protocols).filter(|(_, is)| is != "http/protobuf") {
            passed_over(report, protocol, "is not http/protobuf, which is all that is spoken");
        }
        // The one for traces is used as it is.
        endpoint(&text, name != FOR_TRACES)
            .map_err(|problem| passed_over(report, name, problem))
            .ok()
    }

    pub(super) fn headers(&self, report: &mut Report<'_>) -> Vec<(String, Secret)> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
        let Some((name, text)) = self.first(names) else { return Vec::new() };
        let usable = pairs(&text).filter(|pairs| {
            let is_value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).is_ok();
            pairs.iter().all(|(name, value)| is_header_name(name) && is_value(value))
        });
        let Some(pairs) = usable else {
            passed_over(report, name, "is no list of headers, such as \"name=value,name=value\"");
            return Vec::new();
        };
        pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()
    }

    pub(super) fn timeout(&self, report: &mut Report<'_>) -> Option<Duration> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let (name, text) = self.first(names)?;
        let timeout = text.parse().ok().map(Duration::from_millis);
        let timeout = timeout.filter(|timeout| TIMEOUTS.contains(timeout));
        if timeout.is_none() {
            passed_over(report, name, "is no number of milliseconds from 100 to 60000");
        }
        timeout
    }

    pub(super) fn sampling(&self, report: &mut Report<'_>) -> Sampling {
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let all = Sampling::parent_based(1.0);
        let Some(sampler) = self.text("OTEL_TRACES_SAMPLER") else { return all };
        let mut ratio = || {
            let text = self.text(ARGUMENT)?;
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            if ratio.is_none() {
                passed_over(report, ARGUMENT, "is no number from 0 to 1");
            }
            ratio
        };
        match sampler.as_str() {
            "always_on" => Sampling::by_id(1.0),
            "always_off" => Sampling::by_id(0.0),
            "traceidratio" => Sampling::by_id(ratio().unwrap_or(1.0)),
            "parentbased_always_on" => all,
            "parentbased_always_off" => Sampling::parent_based(0.0),
            "parentbased_traceidratio" => Sampling::parent_based(ratio().unwrap_or(1.0)),
            _ => {
                passed_over(report, "OTEL_TRACES_SAMPLER", "names no sampler that is known here");
                all
            }
        }
    }

    pub(super) fn attributes(&self, report: &mut Report<'_>) -> BTreeMap<String, String> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let Some(text) = self.text(NAME) else { return BTreeMap::new() };
        let Some(pairs) = pairs(&text) else {
            passed_over(report, NAME, "is no list such as \"name=value,name=value\"");
            return BTreeMap::new();
        };
        pairs.into_iter().collect()
    }
}

/// Names and values, percent-decoded: `name=value,name=value`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (name, value) = entry.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
        })
        .collect()
}

fn passed_over(report: &mut Report<'_>, variable: &str, problem: &str) {
    report.general(Problem {
        place: None,
        severity: Severity::Warning,
        problem: format!("the environment variable `{variable}` {problem}"),
        remedy: "it is passed over; mend or unset it, or say in `[tracing]` what is wanted".into(),
    });
}
