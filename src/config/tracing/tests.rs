//! What holds of `[tracing]` and the variables together; the wording is in `tests/fixtures`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::definition::TracingSettings;
use crate::config::{Environment, Loaded, Paths, load};
use crate::spans::Sampling;

struct Variables(BTreeMap<&'static str, &'static str>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.0.get(name).map(OsString::from)
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

fn loaded<const N: usize>(main: &str, variables: [(&'static str, &'static str); N]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.toml"), main).unwrap();
    fs::create_dir(folder.path().join("agents.d")).unwrap();
    let main = Some(folder.path().join("main.toml"));
    load(&Paths { main, agents: None }, &Variables(variables.into()))
}

fn settings<const N: usize>(
    main: &str,
    variables: [(&'static str, &'static str); N],
) -> Option<TracingSettings> {
    let loaded = loaded(main, variables);
    assert!(!loaded.has_errors(), "{:?}", loaded.problems);
    loaded.settings.tracing
}

/// The problems, but for the one that there is no agent.
fn problems(loaded: &Loaded) -> Vec<&str> {
    let problems = loaded.problems.iter().map(|problem| problem.problem.as_str());
    problems.filter(|problem| !problem.contains("no agent file")).collect()
}

const ENDPOINT: &str = "[tracing]\nendpoint = \"http://collector:4318\"\n";

#[test]
fn nobody_collects_unless_somebody_is_named() {
    assert_eq!(settings("", []), None);
    let without = loaded("[tracing]\nsample = 0.5", []);
    assert_eq!(without.settings.tracing, None);
    assert!(problems(&without)[0].contains("no `endpoint`"), "{:?}", without.problems);
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = settings(ENDPOINT, []).unwrap();
    assert_eq!(settings.endpoint.as_str(), "http://collector:4318/v1/traces");
    assert_eq!(settings.service_name, "amqp-agentd");
    assert_eq!(settings.timeout, Duration::from_secs(10));
    assert_eq!(settings.sampling, Sampling::parent_based(1.0));
    assert!(settings.headers.is_empty() && settings.resource.is_empty());
}

#[test]
fn the_path_of_otlp_is_added_to_a_base_and_to_nothing_else() {
    for (base, endpoint) in [
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/", "https://c/otlp/v1/traces"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/traces"),
    ] {
        let main = format!("[tracing]\nendpoint = \"{base}\"");
        assert_eq!(settings(&main, []).unwrap().endpoint.as_str(), endpoint);
    }
    let as_it_is = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/in")];
    assert_eq!(settings("", as_it_is).unwrap().endpoint.as_str(), "http://c:4318/in");
}

#[test]
fn variables_say_what_the_file_leaves_out() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-scope = one"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let heard = settings("", variables).unwrap();
    assert_eq!(heard.endpoint.as_str(), "http://elsewhere:4318/v1/traces");
    let headers: Vec<_> =
        heard.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("api-key", "a b"), ("x-scope", "one")]);
    assert_eq!(heard.timeout, Duration::from_millis(2500));
    assert_eq!(heard.service_name, "shop");
    assert_eq!(heard.resource, [("deployment.environment.name".into(), "test".into())].into());
    assert_eq!(heard.sampling, Sampling::parent_based(0.25));

    let file = "timeout = \"1s\"\nsample = 1\nservice_name = \"own\"\nheaders = { X-Own = \"1\" }\n\
                attributes = { \"deployment.environment.name\" = \"own\" }";
    let own = settings(&format!("{ENDPOINT}{file}"), variables).unwrap();
    assert_eq!(own.endpoint.as_str(), "http://collector:4318/v1/traces");
    assert_eq!((own.headers.len(), own.headers[0].0.as_str()), (1, "X-Own"));
    assert_eq!((own.timeout, own.service_name.as_str()), (Duration::from_secs(1), "own"));
    assert_eq!(own.sampling, Sampling::parent_based(1.0));
    assert_eq!(own.resource["deployment.environment.name"], "own");
}

#[test]
fn variables_can_switch_it_off() {
    assert_eq!(settings(ENDPOINT, [("OTEL_SDK_DISABLED", "TRUE")]), None);
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318");
    assert_eq!(settings("", [endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
    assert!(settings("", [endpoint, ("OTEL_TRACES_EXPORTER", "otlp")]).is_some());
}

#[test]
fn every_sampler_that_needs_nobody_else_is_known() {
    for (sampler, expected) in [
        ("always_on", Sampling::by_id(1.0)),
        ("always_off", Sampling::by_id(0.0)),
        ("traceidratio", Sampling::by_id(0.5)),
        ("parentbased_always_on", Sampling::parent_based(1.0)),
        ("parentbased_always_off", Sampling::parent_based(0.0)),
        ("parentbased_traceidratio", Sampling::parent_based(0.5)),
    ] {
        let variables = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", "0.5")];
        assert_eq!(settings(ENDPOINT, variables).unwrap().sampling, expected, "{sampler}");
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_told_and_passed_over_and_never_shown() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "hunter2"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://u:hunter2@c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "content-type=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0a"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "99"),
        ("OTEL_RESOURCE_ATTRIBUTES", "hunter2"),
        ("OTEL_TRACES_SAMPLER", "hunter2"),
        ("OTEL_TRACES_EXPORTER", "hunter2"),
    ] {
        let loaded = loaded("", [endpoint, (name, value)]);
        let told = problems(&loaded);
        assert!(told.len() == 1 && told[0].contains(name), "{name}: {told:?}");
        assert!(!loaded.has_errors());
        assert!(!format!("{:?}", loaded.problems).contains("hunter2"), "{name}");
    }
}
