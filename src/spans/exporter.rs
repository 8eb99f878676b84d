//! How spans leave: batch by batch, on a thread of their own, so that a collector that is away or
//! slow holds up nothing else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::Tracer;
use super::attributes::{self as names, Say as _};
use super::outlet::Outlet;
use super::trouble::{Say, Trouble};
use crate::backend::{BackendError, Collector, NotTaken};
use crate::backoff::{self, Strategy};
use crate::config::definition::TracingSettings;

/// How long the first span of a batch waits for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a batch is tried that is not taken.
const TRIED_MAX: Duration = Duration::from_mins(1);

/// The thread that hands spans to the collector.
pub struct Exporter {
    stop: watch::Sender<Option<Instant>>,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The collector cannot be spoken to.
    #[error(transparent)]
    Collector(#[from] BackendError),
    /// The system gives no thread.
    #[error("no thread: {0}")]
    Thread(#[from] io::Error),
}

impl Exporter {
    /// Starts it, and gives what spans are made with.
    ///
    /// # Errors
    /// When its settings cannot be used, or the system gives no thread; nothing is sent then.
    pub fn start(settings: &TracingSettings) -> Result<(Tracer, Self), ExporterError> {
        let outlet = Arc::new(Outlet::default());
        let shipping = Shipping {
            collector: Collector::new(settings)?,
            // Its path may be a secret.
            endpoint: settings.endpoint[..url::Position::BeforePath].to_owned(),
            resource: resource(settings),
            outlet: Arc::clone(&outlet),
            trouble: Trouble::default(),
            under_way: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopping) = watch::channel(None);
        std::thread::Builder::new().name("spans".to_owned()).spawn(move || {
            runtime.block_on(shipping.run(stopping));
            // A name look-up that hangs must not keep the daemon from ending.
            runtime.shutdown_background();
        })?;
        info!(
            endpoint = &settings.endpoint[..url::Position::BeforePath],
            service = settings.service_name,
            "sending spans"
        );
        Ok((Tracer { sampling: settings.sampling, outlet }, Self { stop }))
    }

    /// Sends what waits, and returns once it is sent, or after `limit`: then the rest is lost.
    pub async fn stop(self, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.stop.send_replace(Some(deadline));
        // The thread has the deadline too, and a word to say after it, which takes no time unless
        // the machine has none to give.
        let given_up = deadline + Duration::from_secs(5);
        tokio::select! {
            () = self.stop.closed() => {}
            () = sleep_until(given_up) => {}
        }
    }
}

type Stopping = watch::Receiver<Option<Instant>>;

struct Shipping {
    collector: Collector,
    endpoint: String,
    resource: Resource,
    outlet: Arc<Outlet>,
    trouble: Trouble,
    /// Spans of the batch that is being sent.
    under_way: usize,
}

impl Shipping {
    /// Sends until it is stopped, and then what is left, up to the deadline.
    async fn run(mut self, mut stopping: Stopping) {
        let watched = stopping.clone();
        tokio::select! {
            biased;
            () = self.ship(&mut stopping) => {}
            () = deadline(watched) => {}
        }
        let lost = self.under_way + self.outlet.waiting();
        if lost > 0 {
            warn!(endpoint = self.endpoint, spans = lost, "stopped, spans were not sent");
        }
    }

    async fn ship(&mut self, stopping: &mut Stopping) {
        let outlet = Arc::clone(&self.outlet);
        while stopping.borrow().is_none() {
            tokio::select! {
                () = outlet.news() => {}
                () = stopped(stopping) => break,
            }
            tokio::select! {
                () = sleep(PATIENCE) => {}
                () = outlet.enough() => {}
                () = stopped(stopping) => {}
            }
            while let Some(batch) = outlet.take() {
                self.send(batch, stopping).await;
            }
        }
        while let Some(batch) = outlet.take() {
            self.send(batch, stopping).await;
        }
    }

    /// Sends one batch, again and again while there is hope: for a minute, or until a stop.
    async fn send(&mut self, batch: Vec<Span>, stopping: &mut Stopping) {
        self.under_way = batch.len();
        let (began, mut tries) = (Instant::now(), 0);
        let body = self.encode(batch);
        loop {
            let told = self.collector.take(body.clone()).await;
            let now = Instant::now();
            let again = match told {
                Ok(answer) => {
                    self.taken(&answer, now);
                    break;
                }
                Err(NotTaken { reason, again }) => {
                    let is_hopeless = again.is_none()
                        || began.elapsed() >= TRIED_MAX
                        || stopping.borrow().is_some();
                    if is_hopeless {
                        self.outlet.lose(self.under_way);
                    }
                    let say = self.trouble.not_taken(self.outlet.lost(), now);
                    self.say(say.as_ref(), &reason);
                    if is_hopeless {
                        break;
                    }
                    again.flatten()
                }
            };
            tries += 1;
            let wait = backoff::reconnect(Strategy::ExponentialJitter, tries, fastrand::f64());
            tokio::select! {
                () = sleep(again.unwrap_or(wait).min(TRIED_MAX)) => {}
                () = stopped(stopping) => {}
            }
        }
        self.under_way = 0;
    }

    fn encode(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans { scope: Some(scope), spans, schema_url: String::new() };
        let resource_spans = vec![ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![spans],
            schema_url: String::new(),
        }];
        // The same on the wire as an `ExportTraceServiceRequest`.
        TracesData { resource_spans }.encode_to_vec().into()
    }

    /// The batch was taken, though perhaps not all of it. An answer that makes no sense says nothing.
    fn taken(&mut self, answer: &Bytes, now: Instant) {
        let answer = ExportTraceServiceResponse::decode(answer.clone()).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partly| partly.rejected_spans);
        let say = match usize::try_from(rejected) {
            Ok(rejected) if rejected > 0 => {
                self.outlet.lose(rejected.min(self.under_way));
                self.trouble.not_taken(self.outlet.lost(), now)
            }
            Ok(_) | Err(_) => self.trouble.taken(self.outlet.lost(), now),
        };
        self.say(
            say.as_ref(),
            if rejected > 0 { "a part of them was rejected" } else { "too many at once" },
        );
    }

    fn say(&self, say: Option<&Say>, reason: &str) {
        let endpoint = self.endpoint.as_str();
        match say {
            None => {}
            Some(Say::Wrong { lost }) => warn!(
                endpoint,
                lost,
                "spans are not taken: {reason}; messages are not concerned, trying on quietly"
            ),
            Some(Say::Well { after, lost }) => {
                info!(endpoint, lost, after_s = after.as_secs(), "spans are taken again");
            }
        }
    }
}

/// Returns once a stop is wished for. Cancel-safe.
async fn stopped(stopping: &mut Stopping) {
    // Where nobody is left to stop it the daemon is ending.
    stopping.wait_for(Option::is_some).await.ok();
}

/// Returns once the time is over that a stop allows. Cancel-safe.
async fn deadline(mut stopping: Stopping) {
    let deadline = stopping.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    sleep_until(deadline.unwrap_or_else(Instant::now)).await;
}

/// What is said of the daemon with each batch; what the user says wins.
fn resource(settings: &TracingSettings) -> Resource {
    let system = rustix::system::uname();
    let own = [
        (names::SERVICE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (names::SERVICE_INSTANCE, instance()),
        (names::HOST_NAME, system.nodename().to_string_lossy().into_owned()),
    ];
    let mut attributes: Vec<KeyValue> = Vec::new();
    attributes.text(names::SERVICE_NAME, settings.service_name.as_str());
    for (name, value) in own {
        if !settings.resource.contains_key(name) {
            attributes.text(name, value);
        }
    }
    for (name, value) in &settings.resource {
        attributes.text(name, value.as_str());
    }
    attributes.number(names::PROCESS_ID, std::process::id().into());
    Resource { attributes, ..Resource::default() }
}

/// A random UUID (RFC 9562, version 4), as the conventions advise.
fn instance() -> String {
    let random = (fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62)) | 4 << 76 | 0b10 << 62;
    let digits = format!("{random:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_named_by_a_random_uuid() {
        let (one, other) = (instance(), instance());
        assert_ne!(one, other);
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4', "{one}");
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{one}");
    }
}
