//! W3C Trace Context: what a message says of the trace that it belongs to, and what a backend is told.
//!
//! Pure. Read strictly: what is not exactly as the standard has it does not count, and the message
//! begins a trace of its own.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;

use crate::delivery::{Field, Message};

/// The header that names trace and parent.
pub const TRACEPARENT: &str = "traceparent";

/// The header with what tracing systems add to it.
pub const TRACESTATE: &str = "tracestate";

/// Whether the trace is recorded.
const SAMPLED: u8 = 0b01;

/// The flags that mean something today: sampled, and that the trace id is random (Level 2).
const KNOWN_FLAGS: u8 = 0b11;

/// Bytes of version, trace id, parent id and flags with the dashes between them.
const TRACEPARENT_BYTES: usize = 55;

/// Entries of a `tracestate`.
const ENTRIES_MAX: usize = 32;

/// Bytes of a `tracestate` that is passed on; the standard asks for at least 512.
const TRACESTATE_BYTES_MAX: usize = 4096;

/// Names a trace, in 32 small hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub NonZeroU128);

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// Names a span within its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub NonZeroU64);

/// Where something belongs in a trace: a message, a delivery, a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span: of another's `traceparent`, the parent.
    pub span: SpanId,
    /// As in `traceparent`, without those that are unknown.
    pub flags: u8,
    /// `tracestate` as it came, if it is as it has to be.
    pub state: Option<Arc<str>>,
}

impl Context {
    /// What the headers of `message` say.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        let parent = header(message, TRACEPARENT)?;
        let context = Self::parse(parent)?;
        let state = header(message, TRACESTATE).filter(|state| is_tracestate(state));
        Some(Self { state: state.map(Arc::from), ..context })
    }

    /// Reads a `traceparent`, of this version of the standard or a later one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, rest) = text.split_at_checked(TRACEPARENT_BYTES)?;
        let mut parts = text.split('-');
        let version = hexadecimal(parts.next()?, 2)?;
        let trace = hexadecimal(parts.next()?, 32)?;
        let span = hexadecimal(parts.next()?, 16)?;
        let flags = hexadecimal(parts.next()?, 2)?;
        // A later version may have more to say, after one more dash.
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        if !is_whole || parts.next().is_some() {
            return None;
        }
        Some(Self {
            trace: TraceId(NonZeroU128::new(trace)?),
            span: SpanId(NonZeroU64::new(u64::try_from(span).ok()?)?),
            flags: u8::try_from(flags).ok()? & KNOWN_FLAGS,
            state: None,
        })
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The context of a new span in this one's trace.
    #[must_use]
    pub fn child(&self, span: SpanId, is_sampled: bool) -> Self {
        let flags = if is_sampled { self.flags | SAMPLED } else { self.flags & !SAMPLED };
        Self { span, flags, ..self.clone() }
    }

    /// The context of the first span of a new trace.
    #[must_use]
    pub fn root(trace: TraceId, span: SpanId, is_sampled: bool) -> Self {
        Self { trace, span, flags: if is_sampled { SAMPLED } else { 0 }, state: None }
    }

    /// As the header has it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{:016x}-{:02x}", self.trace, self.span.0, self.flags)
    }
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    // HTTP knows no case, and a publisher may have copied the header from there.
    let named = |(other, field)| match field {
        Field::Text(text) if name.as_bytes().eq_ignore_ascii_case(other) => Some(text),
        Field::Text(_)
        | Field::Integer(_)
        | Field::Timestamp(_)
        | Field::Float(_)
        | Field::Boolean(_)
        | Field::Compound => None,
    };
    std::str::from_utf8(message.properties.headers().filter_map(named).last()?).ok()
}

/// A number in exactly so many digits, none of them a capital.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Whether `text` is a list of at most 32 entries, each a key and a value, no key twice. What is not
/// is passed on to nobody (W3C Trace Context, section 3.3).
fn is_tracestate(text: &str) -> bool {
    let entries = || text.split(',').map(|entry| entry.trim_matches([' ', '\t']));
    let named = entries().filter(|entry| !entry.is_empty());
    let keys: Option<Vec<_>> = named
        .map(|entry| {
            let (key, value) = entry.split_once('=')?;
            (is_key(key) && is_value(value)).then_some(key)
        })
        .collect();
    let Some(mut keys) = keys else { return false };
    let is_short = !keys.is_empty() && keys.len() <= ENTRIES_MAX;
    keys.sort_unstable();
    is_short && text.len() <= TRACESTATE_BYTES_MAX && keys.windows(2).all(|pair| pair[0] != pair[1])
}

fn is_key(key: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let is_part = |part: &str, bytes_max: usize| {
        (1..=bytes_max).contains(&part.len()) && part.bytes().all(is_inner)
    };
    let begins_with_letter =
        |part: &str| part.starts_with(|first: char| first.is_ascii_lowercase());
    let begins_well = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
    };
    match key.split_once('@') {
        None => is_part(key, 256) && begins_with_letter(key),
        Some((tenant, system)) => {
            is_part(tenant, 241)
                && begins_well(tenant)
                && is_part(system, 14)
                && begins_with_letter(system)
        }
    }
}

fn is_value(value: &str) -> bool {
    let is_inner = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_inner) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::broker::properties::PropertiesBuilder;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn message(headers: &[(&str, &str)]) -> Message {
        let properties = PropertiesBuilder::default();
        let properties =
            headers.iter().fold(properties, |built, (name, value)| built.header(name, value));
        Message {
            exchange: String::new(),
            routing_key: String::new(),
            redelivered: false,
            properties: properties.build(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let context = Context::parse(PARENT).unwrap();
        assert_eq!(context.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span.0.get(), 0xb7ad_6b71_6920_3331);
        assert!(context.is_sampled());
        assert_eq!(context.traceparent(), PARENT);
        let flags = |flags: &str| Context::parse(&format!("{}{flags}", &PARENT[..53])).unwrap();
        assert!(!flags("00").is_sampled() && !flags("fe").is_sampled());
        assert!(flags("09").is_sampled());
        assert_eq!(flags("ff").traceparent(), format!("{}03", &PARENT[..53]), "unknown ones go");
    }

    #[test]
    fn what_is_not_exactly_a_traceparent_counts_for_nothing() {
        let zeros = |from: usize, to: usize| {
            format!("{}{}{}", &PARENT[..from], "0".repeat(to - from), &PARENT[to..])
        };
        for wrong in [
            String::new(),
            PARENT[..54].to_owned(),
            format!("{PARENT} "),
            format!(" {PARENT}"),
            format!("{PARENT}-"),
            format!("{PARENT}-00"),
            PARENT.to_uppercase(),
            PARENT.replace('-', "_"),
            PARENT.replace("0af7", "0xf7"),
            PARENT.replace("0af7", "+af7"),
            PARENT.replace("0af765", "0af-65"),
            PARENT.replacen("00", "ff", 1),
            PARENT.replacen("00", "0g", 1),
            format!("cc{}x", &PARENT[2..]),
            zeros(3, 35),
            zeros(36, 52),
            PARENT.replace("0af7", "0äf"),
        ] {
            assert_eq!(Context::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for later in [format!("cc{}", &PARENT[2..]), format!("01{}-what-then", &PARENT[2..])] {
            assert_eq!(Context::parse(&later).unwrap().traceparent(), PARENT);
        }
    }

    #[test]
    fn a_tracestate_that_is_wrong_is_left_out_and_the_traceparent_stays() {
        let many: Vec<_> = (0..33).map(|number| format!("k{number}=v")).collect();
        let long = "v".repeat(257);
        for (state, is_right) in [
            ("congo=t61rcWkgMzE", true),
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
            ("a=1 , b=2,,c=3", true),
            ("0tenant@system=1,a-_*/=x y", true),
            ("", false),
            (",", false),
            ("a", false),
            ("a=", false),
            ("=1", false),
            ("A=1", false),
            ("0a=1", false),
            ("a@0b=1", false),
            ("a@b@c=1", false),
            ("a=1=2", false),
            ("a=\u{e9}", false),
            ("a=1,a=2", false),
            (&many[..32].join(","), true),
            (&many.join(","), false),
            (&format!("a={}", &long[..256]), true),
            (&format!("a={long}"), false),
        ] {
            let message = message(&[("traceparent", PARENT), ("tracestate", state)]);
            let context = Context::of(&message).unwrap();
            assert_eq!(context.state.as_deref(), is_right.then_some(state), "{state}");
        }
    }

    #[test]
    fn a_message_without_a_traceparent_has_no_context_whatever_its_tracestate() {
        assert_eq!(Context::of(&message(&[("tracestate", "a=1")])), None);
        assert!(Context::of(&message(&[("Traceparent", PARENT)])).is_some(), "no case, as in HTTP");
    }

    #[test]
    fn a_span_stays_in_its_trace_and_keeps_what_came_with_it() {
        let state = [("traceparent", PARENT), ("tracestate", "a=1")];
        let parent = Context::of(&message(&state)).unwrap();
        let span = SpanId(NonZeroU64::MIN);
        let child = parent.child(span, false);
        assert_eq!(
            (child.trace, child.span, child.state.as_deref()),
            (parent.trace, span, Some("a=1"))
        );
        assert!(!child.is_sampled() && parent.child(span, true).is_sampled());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            trace in 1..=u128::MAX,
            span in 1..=u64::MAX,
            flags in 0..=3_u8,
        ) {
            let context = Context {
                trace: TraceId(NonZeroU128::new(trace).unwrap()),
                span: SpanId(NonZeroU64::new(span).unwrap()),
                flags,
                state: None,
            };
            prop_assert_eq!(Context::parse(&context.traceparent()), Some(context));
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in ".{0,80}", state in "\\PC{0,80}") {
            if let Some(context) = Context::parse(&text) {
                prop_assert_eq!(&context.traceparent()[3..52], &text[3..52]);
            }
            is_tracestate(&state);
        }
    }
}
