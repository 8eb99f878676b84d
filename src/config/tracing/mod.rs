//! `[tracing]`: where spans go. What it leaves out, OpenTelemetry's own environment variables say.

mod variables;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use toml::Spanned;
use url::Url;

use super::Environment;
use super::definition::TracingSettings;
use super::report::{Report, quoted};
use super::resolve::{period_within, share};
use super::spec::{Key, TracingSpec};
use super::value::Section;
use crate::request::is_reserved;
use crate::secret::Secret;
use crate::spans::Sampling;
use variables::Variables;

/// What a service is called that has no other name.
const SERVICE_NAME: &str = env!("CARGO_PKG_NAME");

/// What OTLP adds to an endpoint (its specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// Where spans go; `None` is nowhere.
pub(super) fn tracing(
    table: Option<&Spanned<Section<TracingSpec>>>,
    environment: &impl Environment,
    report: &mut Report<'_>,
) -> Option<TracingSettings> {
    let variables = Variables(environment);
    let nothing = TracingSpec::default();
    let spec = table.map_or(&nothing, |table| table.get_ref());
    let endpoint = match &spec.endpoint {
        Some(key) => own_endpoint(key, report),
        None => variables.endpoint(report),
    };
    let (headers, attributes) = (own_headers(spec, report), own_attributes(spec));
    let timeout = period_within(spec.timeout.as_ref(), "timeout", TIMEOUTS, report);
    let sample = share(spec.sample.as_ref(), "sample", report);
    if variables.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return None;
    }
    let Some(endpoint) = endpoint else {
        if let Some(table) = table.filter(|_| spec.endpoint.is_none()) {
            report.warning(
                &table.span(),
                "`[tracing]` has no `endpoint`, so no spans are made",
                "set it to the collector's URL, such as \"http://127.0.0.1:4318\"",
            );
        }
        return None;
    };
    let mut resource = variables.attributes(report);
    let named = spec.service_name.as_ref().map(|name| name.get_ref().clone());
    let service_name = named
        .or_else(|| variables.text("OTEL_SERVICE_NAME"))
        .or_else(|| resource.remove("service.name"))
        .unwrap_or_else(|| SERVICE_NAME.to_owned());
    resource.remove("service.name");
    resource.extend(attributes);
    Some(TracingSettings {
        endpoint,
        headers: headers.unwrap_or_else(|| variables.headers(report)),
        timeout: timeout.or_else(|| variables.timeout(report)).unwrap_or(TIMEOUT),
        sampling: sample.map_or_else(|| variables.sampling(report), Sampling::parent_based),
        service_name,
        resource,
    })
}

fn own_endpoint(key: &Spanned<String>, report: &mut Report<'_>) -> Option<Url> {
    match endpoint(key.get_ref(), true) {
        Ok(url) => Some(url),
        Err(problem) => {
            let remedy = "write http://HOST:PORT or https://HOST:PORT";
            report.spoil(&key.span(), format!("`endpoint` {problem}"), remedy);
            None
        }
    }
}

/// Reads the URL of a collector; `is_base` has OTLP's path added where it is not there.
fn endpoint(text: &str, is_base: bool) -> Result<Url, &'static str> {
    let mut url = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password, which belong into `headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if is_base && !url.path().ends_with(PATH) {
        let path = format!("{}{PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

fn own_headers(spec: &TracingSpec, report: &mut Report<'_>) -> Option<Vec<(String, Secret)>> {
    let mut headers = Vec::new();
    for (name, value) in spec.headers.as_ref()?.get_ref() {
        if !is_header_name(name.get_ref()) {
            report.error(
                &name.span(),
                format!("{} is no header that can be set", quoted(name.get_ref())),
                "use letters, digits and `-`, and none that belongs to the connection or the content",
            );
        }
        if HeaderValue::from_bytes(value.get_ref().as_bytes()).is_err() {
            report.spoil(
                &value.span(),
                format!("the value of {} has a control character", quoted(name.get_ref())),
                "remove it: a header is one line of text",
            );
        }
        headers.push((name.get_ref().clone(), Secret::new(value.get_ref().as_str())));
    }
    Some(headers)
}

fn is_header_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes())
        .is_ok_and(|name| !is_reserved(&name) && name != "content-type" && name != "host")
}

fn own_attributes(spec: &TracingSpec) -> BTreeMap<String, String> {
    let attributes: &Key<_> = &spec.attributes;
    let attributes = attributes.iter().flat_map(Spanned::get_ref);
    attributes.map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone())).collect()
}

#[cfg(test)]
mod tests;
