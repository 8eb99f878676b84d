//! Connections: so many at once, none for longer than it is of use, and none that another waits for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::listen::{Listener, Stream};
use super::problem::Problem;

/// Connections of one door at once.
const GUESTS_MAX: usize = 64;

/// For the head of a request, counted from the end of the one before.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// For the body of a request, which no route has a use for.
const BODY_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 4096;

/// For the first line and the headers of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// For answers that are under way when the daemon ends.
const END_MAX: Duration = Duration::from_secs(1);

/// After the system gave no connection, for want of files say.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Answers whoever comes by `listener`, until told to stop.
pub(super) async fn serve(listener: Listener, router: Router, stop: watch::Receiver<bool>) {
    let mut told = stop.clone();
    let mut guests = Guests::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(stream) => guests.admit(stream, router.clone(), stop.clone()),
                Err(error) => {
                    warn!("failed to accept a connection of the admin interface: {error}");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
            Some(_) = guests.tasks.join_next() => {}
            () = told_to_stop(&mut told) => break,
        }
    }
    drop(listener);
    let ended = async { while guests.tasks.join_next().await.is_some() {} };
    // Those that take longer are ended as the set is dropped.
    timeout(END_MAX, ended).await.ok();
}

/// The connections of one door.
#[derive(Default)]
struct Guests {
    tasks: JoinSet<()>,
    /// The oldest first.
    known: VecDeque<Guest>,
}

struct Guest {
    task: AbortHandle,
    /// Its request is being answered.
    is_busy: Arc<AtomicBool>,
}

impl Guests {
    /// Lets one in. Where all places are taken the oldest that is asking nothing has to go: so
    /// those who only hold a connection, or send their request a byte at a time, keep nobody out.
    fn admit(&mut self, stream: Box<dyn Stream>, router: Router, stop: watch::Receiver<bool>) {
        self.known.retain(|guest| !guest.task.is_finished());
        if self.known.len() >= GUESTS_MAX {
            let idle = self.known.iter().position(|guest| !guest.is_busy.load(Ordering::Relaxed));
            let Some(guest) = idle.and_then(|place| self.known.remove(place)) else { return };
            guest.task.abort();
        }
        let is_busy = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(converse(stream, router, Arc::clone(&is_busy), stop));
        self.known.push_back(Guest { task, is_busy });
    }
}

/// Answers one request after the other, until one side has had enough.
async fn converse(
    stream: Box<dyn Stream>,
    router: Router,
    is_busy: Arc<AtomicBool>,
    mut stop: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (router, is_busy) = (router.clone(), Arc::clone(&is_busy));
        async move { Ok::<_, Infallible>(answer(request, router, &is_busy).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        // Who has asked may close the sending half and still wait for the answer.
        .half_close(true);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection of the admin interface ended: {error}");
    }
}

/// Returns once the interface is to close. Cancel-safe.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An interface that is gone wants all of it to end.
    stop.wait_for(|stop| *stop).await.ok();
}

/// A request that is being answered.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn begin(is_busy: &Arc<AtomicBool>) -> Self {
        is_busy.store(true, Ordering::Relaxed);
        Self(Arc::clone(is_busy))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Reads the body to its end, so that the next request can follow, and has the request answered.
async fn answer(
    request: Request<Incoming>,
    router: TowerToHyperService<Router>,
    is_busy: &Arc<AtomicBool>,
) -> Response {
    let (head, body) = request.into_parts();
    let too_much = || {
        let detail = format!("no request here has a body of more than {BODY_BYTES_MAX} bytes");
        last(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
    };
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return too_much();
    }
    match timeout(BODY_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_much(),
        Ok(Err(_)) => {
            let detail = "the body is not what the headers say";
            return last(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Err(_) => {
            let detail = "the body took too long";
            return last(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        }
    }
    // Not before: a body that comes slowly must not keep a place.
    let _busy = Busy::begin(is_busy);
    let answer = router.call(Request::from_parts(head, Body::empty())).await;
    answer.unwrap_or_else(|never| match never {})
}

/// After this answer the connection is of no more use: what follows on it is the rest of a body.
fn last(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
