//! The requests that a message becomes, in HTTP form, without what is secret in them.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value as Json, json};
use url::{Position, Url};

use crate::backend::preview;
use crate::config::definition::{AgentDefinition, BackendDefinition, Dispatch, Http2};
use crate::delivery::Message;
use crate::request::{Template, TemplateError};

/// The octets of a body that is no text that are shown.
const SHOWN_MAX: usize = 64;

/// In the place of a value that is not shown.
const SECRET: &str = "<secret>";

/// Parts of the names of headers whose values are credentials, wherever they stand.
const CREDENTIALS: [&str; 9] =
    ["auth", "cookie", "credential", "key", "pass", "secret", "session", "signature", "token"];

/// What one backend is sent.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its name.
    pub backend: Arc<str>,
    /// Whether its answer decides.
    pub required: bool,
    /// Where it may be sent to, in turn: scheme, host and port.
    pub hosts: Vec<String>,
    /// What.
    pub sent: Sent,
}

/// What is sent to a backend.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A request.
    Http(Box<Http>),
    /// Nothing: it has the message already.
    HasIt,
    /// Nothing: no request can be made of the message.
    Impossible(String),
    /// Its host is a credential that cannot be seen from here.
    Unseen,
}

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub struct Http {
    /// Which HTTP is spoken.
    pub version: Http2,
    /// The method.
    pub method: String,
    /// Path and query; `None` where it is not shown.
    pub target: Option<String>,
    /// Host and port.
    pub authority: String,
    /// In order; a value that is not shown is `None`.
    pub headers: Vec<(String, Option<String>)>,
    /// As it came.
    pub body: Bytes,
}

/// Tells a string of a backend as the file has it, where nothing was put in: see
/// [`written::out`](crate::config::written::out).
pub type Written<'w> = dyn Fn(usize, &[&str]) -> Option<Vec<String>> + 'w;

/// The requests for `message` at its try number `attempt`, in the order of the file; the backends
/// named in `done` have it.
///
/// # Errors
///
/// Where the definition makes no request.
pub fn requests(
    definition: &AgentDefinition,
    message: &Message,
    attempt: u32,
    done: &[Arc<str>],
    written: &Written<'_>,
) -> Result<Vec<Told>, TemplateError> {
    let is_parallel = matches!(definition.dispatch, Dispatch::Parallel);
    let backends = definition.backends.iter().enumerate();
    let told = backends.map(|(index, backend)| {
        let template = Template::new(backend)?;
        // Told beside the others, once, whatever happened before.
        let attempt = if is_parallel && !backend.required { 1 } else { attempt };
        let sent = if done.contains(&backend.name) {
            Sent::HasIt
        } else {
            match template.build(message, attempt) {
                Ok(request) => match preview(backend, request) {
                    Some(preview) => {
                        let strings = |key: &[&str]| written(index, key);
                        Sent::Http(Box::new(http(&preview, backend, message, &strings)))
                    }
                    None => Sent::Unseen,
                },
                Err(error) => Sent::Impossible(error.to_string()),
            }
        };
        let hosts = backend.urls.iter().map(|url| url[..Position::AfterPort].to_owned()).collect();
        Ok(Told { backend: Arc::clone(&backend.name), required: backend.required, hosts, sent })
    });
    told.collect()
}

fn http(
    preview: &crate::backend::Preview,
    backend: &BackendDefinition,
    message: &Message,
    written: &dyn Fn(&[&str]) -> Option<Vec<String>>,
) -> Http {
    Http {
        version: preview.http2,
        method: backend.method.clone(),
        target: target(&preview.url, written),
        authority: preview.url[Position::BeforeHost..Position::AfterPort].to_owned(),
        headers: headers(&preview.headers, written),
        body: message.body.clone(),
    }
}

/// Path and query, where nothing that was put in can be a part of them.
fn target(url: &Url, written: &dyn Fn(&[&str]) -> Option<Vec<String>>) -> Option<String> {
    let target = &url[Position::BeforePath..Position::AfterQuery];
    let pattern = written(&["url_pattern"])?;
    let is_whole = pattern.first().is_some_and(|pattern| pattern == target);
    (is_whole || written(&["host"]).is_some()).then(|| target.to_owned())
}

fn headers(
    map: &HeaderMap,
    written: &dyn Fn(&[&str]) -> Option<Vec<String>>,
) -> Vec<(String, Option<String>)> {
    let shown = map.iter().map(|(name, value)| {
        let name = name.as_str();
        let is_credential = CREDENTIALS.iter().any(|part| name.contains(part));
        // What comes of the agent file is marked; a login in the host's URL is nowhere in `headers`.
        let is_open =
            !value.is_sensitive() || (!is_credential && written(&["headers", name]).is_some());
        let text = is_open.then(|| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (name.to_owned(), text)
    });
    shown.collect()
}

impl Told {
    /// For people, after a line that says to whom; `number` counts from 1.
    #[must_use]
    pub fn text(&self, number: usize, of: usize) -> String {
        let role =
            if self.required { "required" } else { "told aside: its answer decides nothing" };
        let mut text = format!("# {number} of {of}: {}, {role}", self.backend);
        match self.hosts.as_slice() {
            [] => {}
            [one] => write!(text, "; at {one}").unwrap_or_default(),
            [first, others @ ..] => {
                write!(text, "; at {first}, or in turn {}", others.join(", ")).unwrap_or_default();
            }
        }
        text.push('\n');
        match &self.sent {
            Sent::Http(http) => text.push_str(&http.text()),
            Sent::HasIt => text.push_str("# nothing: it has this message already\n"),
            Sent::Impossible(why) => {
                writeln!(text, "# nothing: no request can be made of it: {why}")
                    .unwrap_or_default();
            }
            Sent::Unseen => text.push_str("# its host is a credential that cannot be seen here\n"),
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let mut json = json!({
            "backend": &*self.backend,
            "required": self.required,
            "hosts": self.hosts,
        });
        match &self.sent {
            Sent::Http(http) => json["request"] = http.json(),
            Sent::HasIt => json["nothing"] = "has_it".into(),
            Sent::Impossible(why) => {
                json["nothing"] = "impossible".into();
                json["why"] = why.as_str().into();
            }
            Sent::Unseen => json["nothing"] = "unseen_credential".into(),
        }
        json
    }
}

impl Http {
    fn text(&self) -> String {
        let (version, note) = match self.version {
            Http2::Never => ("HTTP/1.1", ""),
            Http2::Negotiate => (
                "HTTP/1.1",
                "# or in HTTP/2, where the backend agrees to it: then without `host`\n",
            ),
            Http2::PriorKnowledge => ("HTTP/2", ""),
        };
        let target = self.target.as_deref().unwrap_or(SECRET);
        let mut text = format!("{note}{} {target} {version}\n", self.method);
        if self.version == Http2::PriorKnowledge {
            writeln!(text, ":authority: {}", self.authority).unwrap_or_default();
        }
        for (name, value) in &self.headers {
            writeln!(text, "{name}: {}", value.as_deref().unwrap_or(SECRET)).unwrap_or_default();
        }
        text.push('\n');
        match body_text(&self.body) {
            Some("") => {}
            Some(body) => {
                text.push_str(body);
                if !body.ends_with('\n') {
                    text.push('\n');
                }
            }
            None => {
                let start: Vec<_> =
                    self.body.iter().take(SHOWN_MAX).map(|octet| format!("{octet:02x}")).collect();
                let more = if self.body.len() > SHOWN_MAX { " …" } else { "" };
                writeln!(text, "# {} octets: {}{more}", self.body.len(), start.join(" "))
                    .unwrap_or_default();
            }
        }
        text
    }

    fn json(&self) -> Json {
        let headers = self.headers.iter().map(
            |(name, value)| json!({ "name": name, "value": value, "secret": value.is_none() }),
        );
        let mut json = json!({
            "http": match self.version {
                Http2::Never => "1.1",
                Http2::Negotiate => "negotiated",
                Http2::PriorKnowledge => "2",
            },
            "method": self.method,
            "target": self.target,
            "authority": self.authority,
            "headers": headers.collect::<Vec<_>>(),
            "body_bytes": self.body.len(),
        });
        if let Some(text) = body_text(&self.body) {
            json["body"] = text.into();
        } else {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&self.body);
            json["body_base64"] = encoded.into();
        }
        json
    }
}

/// A body that a terminal shows as it is.
fn body_text(body: &Bytes) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(is_plain).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::definition::tests::definition;
    use crate::explain::sample::{built_in, read};
    use crate::secret::Secret;

    fn told(definition: &AgentDefinition, written: &Written<'_>) -> Vec<Told> {
        requests(definition, &built_in(definition), 1, &[], written).unwrap()
    }

    #[test]
    fn a_request_is_shown_as_it_is_sent() {
        let told = told(&definition("orders"), &|_, _| Some(vec!["/".to_owned()]));
        let expected = format!(
            "# 1 of 1: 127.0.0.1:8080, required; at http://127.0.0.1:8080\n\
             POST / HTTP/1.1\n\
             user-agent: amqp-agentd/{}\n\
             accept: */*\n\
             content-length: 12\n\
             content-type: application/json\n\
             x-amqp-routing-key: orders\n\
             idempotency-key: sample-1\n\
             x-amqp-message-id: sample-1\n\
             x-amqp-redelivered: false\n\
             x-amqp-attempt: 1\n\
             x-amqp-header-source: explain\n\
             host: 127.0.0.1:8080\n\
             \n\
             {{\"sample\":1}}\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(told[0].text(1, 1), expected);
    }

    #[test]
    fn what_was_put_in_and_what_is_a_credential_is_never_shown() {
        let mut definition = definition("orders");
        let header = |name: &str| (name.to_owned(), Secret::new("hunter2"));
        definition.backends[0].headers =
            ["authorization", "x-api-key", "x-tenant", "x-stage"].map(header).to_vec();
        definition.backends[0].urls = vec!["http://shop/hook/hunter2?t=hunter2".parse().unwrap()];
        // The tenant alone stands in the file as it is.
        let written = |_: usize, key: &[&str]| {
            let is_out = matches!(key, ["headers", name] if *name != "x-stage") || key == ["host"];
            is_out.then(|| vec!["hunter2".to_owned()])
        };
        let told = told(&definition, &written);
        let text = told[0].text(1, 1);
        assert!(text.contains("POST <secret> HTTP/1.1\n"), "{text}");
        for name in ["authorization", "x-api-key", "x-stage"] {
            assert!(text.contains(&format!("\n{name}: <secret>\n")), "{text}");
        }
        assert_eq!(text.matches("hunter2").count(), 1, "{text}");
        assert!(text.contains("\nx-tenant: hunter2\n"), "{text}");
        let json = told[0].json();
        assert_eq!(json.to_string().matches("hunter2").count(), 1, "{json}");
        assert_eq!(json["request"]["target"], Json::Null);
    }

    #[test]
    fn a_host_that_was_put_in_brings_no_path_to_light() {
        let url = "http://shop/base/orders".parse().unwrap();
        let written = |pattern: &str| {
            let pattern = pattern.to_owned();
            move |key: &[&str]| (key == ["url_pattern"]).then(|| vec![pattern.clone()])
        };
        assert_eq!(target(&url, &written("/orders")), None);
        assert_eq!(target(&url, &written("/base/orders")).as_deref(), Some("/base/orders"));
    }

    #[test]
    fn a_body_that_is_no_text_is_described() {
        let definition = definition("orders");
        let message = read(r#"{"payload":"AP8=","payload_encoding":"base64"}"#, "orders").unwrap();
        let told = requests(&definition, &message, 1, &[], &|_, _| None).unwrap();
        assert!(told[0].text(1, 1).ends_with("\n\n# 2 octets: 00 ff\n"), "{}", told[0].text(1, 1));
        assert_eq!(told[0].json()["request"]["body_base64"], "AP8=");
    }

    #[test]
    fn a_backend_that_has_the_message_is_sent_nothing() {
        let definition = definition("orders");
        let done = [Arc::clone(&definition.backends[0].name)];
        let told = requests(&definition, &built_in(&definition), 2, &done, &|_, _| None).unwrap();
        assert!(told[0].text(1, 1).contains("nothing: it has this message already"));
    }

    #[test]
    fn a_message_that_no_request_can_be_made_of_says_so() {
        let mut definition = definition("orders");
        definition.backends[0].method = "TRACE".to_owned();
        let told = told(&definition, &|_, _| None);
        assert!(told[0].text(1, 1).contains("no request can be made of it"));
        assert_eq!(told[0].json()["nothing"], "impossible");
    }
}
