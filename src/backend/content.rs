//! Bodies: the request's, which tells whether sending has begun, and the start of the reply's.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

/// The most bytes of a reply's body that are read to give its connection back; a longer body
/// ends the connection.
pub(super) const REPLY_BYTES_MAX: usize = 16 * 1024;

/// How long the reply's body is waited for once its head is there.
const BODY_TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// Whether a request has begun to be sent.
///
/// The library gives no sign of its own. But it asks a body whether it is at its end, or for
/// its content, only when a connection is there and takes the request; before that it asks at
/// most how long it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    /// While this is false, not a byte of the request has left.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request's body that marks when it begins to be sent.
pub(super) struct MarkedBody {
    content: Bytes,
    begun: Begun,
}

impl MarkedBody {
    pub(super) fn new(content: Bytes, begun: Begun) -> Self {
        Self { content, begun }
    }
}

impl Body for MarkedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        this.begun.set();
        let content = std::mem::take(&mut this.content);
        Poll::Ready((!content.is_empty()).then(|| Ok(Frame::data(content))))
    }

    fn is_end_stream(&self) -> bool {
        self.begun.set();
        self.content.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len() as u64)
    }
}

/// Reads the body up to [`REPLY_BYTES_MAX`], for [`BODY_TIMEOUT_MAX`] and no longer than
/// `deadline`, so that its connection can be used again, and gives back its first `keep_max`
/// bytes.
///
/// Never fails: a body that ends early, hangs or is too long is dropped, and its connection
/// with it.
pub(super) async fn read_start(
    response: &mut reqwest::Response,
    keep_max: usize,
    deadline: Instant,
) -> Bytes {
    let announced = response.content_length();
    // Over HTTP/2 even an empty body may have its end still to come, and is reset without it.
    let is_over = announced == Some(0) && response.version() != Version::HTTP_2;
    let is_too_long = announced.is_some_and(|length| length > REPLY_BYTES_MAX as u64);
    if is_over || (keep_max == 0 && is_too_long) {
        return Bytes::new();
    }
    let deadline = deadline.min(Instant::now() + BODY_TIMEOUT_MAX);
    let mut kept = BytesMut::new();
    let mut bytes_read = 0;
    while bytes_read <= REPLY_BYTES_MAX {
        let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else { break };
        bytes_read += chunk.len();
        let wanted = chunk.len().min(keep_max - kept.len());
        kept.extend_from_slice(&chunk[..wanted]);
    }
    kept.freeze()
}
