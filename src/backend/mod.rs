//! One HTTP service: its request is sent, timed, and what comes back is told in our own words.
//!
//! The only place that names the HTTP client library. A request is sent at most once for each
//! call of [`Backend::send`]: no redirect is followed, nothing is retried after its first byte
//! has left, and a second host is tried only where nothing reached the first.

mod clients;
mod collector;
mod content;
mod failure;
mod groups;
mod health;
mod hosts;
mod inquiry;
mod place;
mod preview;
mod retry_after;

use std::cell::RefCell;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

pub use self::clients::Clients;
pub use self::collector::{Collector, NotTaken};
use self::content::Begun;
pub use self::groups::{Groups, Member, News, Turn};
use self::hosts::Hosts;
pub use self::inquiry::inquire;
use self::place::Place;
pub use self::preview::{Preview, environment_names_a_proxy, preview};
use crate::config::definition::BackendDefinition;
use crate::delivery::Message;
use crate::outcome::{NotSent, Reply, StatusPolicy, Unanswered};
use crate::request::{HttpRequest, Impossible, Template, TemplateError};
use crate::tls::TlsError;

/// The most bytes of a failing reply's body that are kept to be shown.
pub const EXCERPT_BYTES_MAX: usize = 4 * 1024;

/// Why a backend cannot be made from its definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Its requests cannot be.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Its TLS cannot be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client refused its settings.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
}

/// What one attempt brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What came back, or why nothing did.
    pub reply: Reply,
    /// The start of the body of a reply that is no 2xx, at most [`EXCERPT_BYTES_MAX`]: the
    /// backend's own words, as they came.
    pub excerpt: Bytes,
    /// The host that was asked last, by its place among the backend's URLs.
    pub host: usize,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { reply, excerpt: Bytes::new(), host: 0 }
    }
}

/// One HTTP service that messages are handed to. Cheap to clone; lives on one thread.
#[derive(Clone)]
pub struct Backend {
    inner: Rc<Inner>,
}

struct Inner {
    name: Arc<str>,
    required: bool,
    timeout: Duration,
    policy: StatusPolicy,
    template: Template,
    places: Vec<Place>,
    hosts: RefCell<Hosts>,
    client: Rc<reqwest::Client>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Backend {
    /// Prepares to speak to the service of `definition`; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`BackendError`] where its TLS files cannot be used or its requests cannot be made.
    pub fn new(
        definition: &BackendDefinition,
        clients: &mut Clients,
    ) -> Result<Self, BackendError> {
        let inner = Inner {
            name: Arc::clone(&definition.name),
            required: definition.required,
            timeout: definition.timeout,
            policy: definition.status.clone(),
            template: Template::new(definition)?,
            places: definition.urls.iter().map(|url| Place::new(url, definition)).collect(),
            hosts: RefCell::new(Hosts::new(definition.urls.len())),
            client: clients.get(definition)?,
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Its name for logs.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// Whether its answer decides what becomes of the message.
    #[must_use]
    pub fn required(&self) -> bool {
        self.inner.required
    }

    /// The limit of one attempt, from its start to the last byte of the reply's head.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// What its statuses mean.
    #[must_use]
    pub fn policy(&self) -> &StatusPolicy {
        &self.inner.policy
    }

    /// The request for `message`; see [`Template::build`].
    ///
    /// # Errors
    ///
    /// [`Impossible`] when the message can never be sent to this backend.
    pub fn request(&self, message: &Message, attempt: u32) -> Result<HttpRequest, Impossible> {
        self.inner.template.build(message, attempt)
    }

    /// Sends `request` once and waits for the reply, at most [`timeout`](Self::timeout) and a
    /// second more for the reply's body.
    ///
    /// Goes to the hosts in turn. One that cannot be reached is passed over for 1 s, doubling
    /// up to 30 s, and the next one tried at once; [`Reply::NotSent`] means that none could be.
    ///
    /// Dropping the future gives the attempt up: what was sent may have arrived.
    pub fn send(&self, request: HttpRequest) -> impl Future<Output = Answer> + use<> {
        Rc::clone(&self.inner).attempt(Some(request))
    }

    /// Asks with a `HEAD` whether the service is there; limits as for [`send`](Self::send).
    ///
    /// Any status says that it is, even one that refuses the method.
    pub fn probe(&self) -> impl Future<Output = Answer> + use<> {
        self.send(self.inner.template.probe())
    }
}

impl Inner {
    async fn attempt(self: Rc<Self>, mut request: Option<HttpRequest>) -> Answer {
        let mut now = Instant::now();
        let deadline = now + self.timeout;
        // Takes memory only once a host has failed.
        let mut tried = Vec::new();
        let mut failure = None;
        while let Some(host) = self.next_host(now, &tried) {
            let untried = self.places.len() - tried.len() - 1;
            // A copy only where another host may need the request after this one.
            let own = if untried == 0 { request.take() } else { request.clone() };
            let Some(own) = own else { break };
            let place = &self.places[host];
            let begun = Begun::default();
            let response = self.client.execute(place.request(own, &begun));
            let share = u32::try_from(untried + 1).unwrap_or(u32::MAX);
            let connect_limit =
                (deadline.duration_since(now) / share).min(clients::CONNECT_TIMEOUT_MAX);
            let limits = Limits { now, connect_limit, deadline };
            let mut answer = self.try_host(place, response, &begun, limits).await;
            answer.host = host;
            if !matches!(answer.reply, Reply::NotSent(..)) {
                self.hosts.borrow_mut().reached(host);
                return answer;
            }
            now = Instant::now();
            self.hosts.borrow_mut().failed(host, now);
            tried.push(host);
            failure = Some(answer);
        }
        failure.unwrap_or_else(|| {
            Reply::NotSent(NotSent::Connect, "no host is configured".to_owned()).into()
        })
    }

    fn next_host(&self, now: Instant, tried: &[usize]) -> Option<usize> {
        self.hosts.borrow_mut().pick(now, tried)
    }

    /// One host's share of an attempt.
    async fn try_host(
        &self,
        place: &Place,
        response: impl Future<Output = Result<reqwest::Response, reqwest::Error>>,
        begun: &Begun,
        limits: Limits,
    ) -> Answer {
        let Limits { now, connect_limit, deadline } = limits;
        let mut response = pin!(response);
        // One timer for both limits: until something has left it stands for the connection.
        let mut timer = pin!(sleep_until(now + connect_limit));
        let result = loop {
            tokio::select! {
                biased;
                result = response.as_mut() => break result,
                () = timer.as_mut() => {}
            }
            if !begun.get() {
                let text = format!("{}: gave up after {connect_limit:.1?}", place.authority());
                return Reply::NotSent(NotSent::ConnectTimeout, text).into();
            }
            if timer.deadline() >= deadline {
                let text = format!("{}: gave up after {:.1?}", place.authority(), self.timeout);
                return Reply::Unanswered(Unanswered::Timeout, text).into();
            }
            timer.as_mut().reset(deadline);
        };
        match result {
            Ok(mut response) => answer(&mut response, deadline).await,
            Err(error) => {
                let (secure, authority) = (place.is_secure(), place.authority());
                failure::reply(&error, begun.get(), secure, authority).into()
            }
        }
    }
}

/// How long one host may take.
struct Limits {
    /// When its share begins.
    now: Instant,
    /// From `now` until the request begins to be sent: other hosts are to have their share.
    connect_limit: Duration,
    /// When the whole attempt ends.
    deadline: Instant,
}

async fn answer(response: &mut reqwest::Response, deadline: Instant) -> Answer {
    let status = response.status();
    let retry_after = retry_after::retry_after(response.headers(), SystemTime::now);
    let keep_max = if status.is_success() { 0 } else { EXCERPT_BYTES_MAX };
    let excerpt = content::read_start(response, keep_max, deadline).await;
    Answer { reply: Reply::Answered { status: status.as_u16(), retry_after }, excerpt, host: 0 }
}
