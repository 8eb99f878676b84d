//! The properties of a message, kept as the broker sent them and read through our own words.

use std::fmt;

use amqprs::{BasicProperties, FieldValue};

/// A message's AMQP properties and headers, octets as published.
///
/// A thin cover over the client library's own type: nothing is copied to read it, and a copy
/// of the message can be published with exactly these properties.
#[derive(Clone, Default)]
pub struct Properties(pub(in crate::broker) BasicProperties);

/// The value of one header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Field<'a> {
    /// A string (`S`), which need not be UTF-8, or a byte array (`x`).
    Text(&'a [u8]),
    /// Any of the integer types.
    Integer(i64),
    /// An unsigned 64-bit timestamp, in seconds.
    Timestamp(u64),
    /// Any of the floating-point types.
    Float(f64),
    /// `t`.
    Boolean(bool),
    /// A table, an array, a decimal or nothing: no single value.
    Compound,
}

impl Properties {
    /// MIME content type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.0.content_type().map(String::as_str)
    }

    /// MIME content encoding.
    #[must_use]
    pub fn content_encoding(&self) -> Option<&str> {
        self.0.content_encoding().map(String::as_str)
    }

    /// Application correlation identifier.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id().map(String::as_str)
    }

    /// Where a reply is wanted.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.0.reply_to().map(String::as_str)
    }

    /// Application message identifier.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.0.message_id().map(String::as_str)
    }

    /// Message type name.
    #[must_use]
    pub fn message_type(&self) -> Option<&str> {
        self.0.message_type().map(String::as_str)
    }

    /// Creating application's identifier.
    #[must_use]
    pub fn app_id(&self) -> Option<&str> {
        self.0.app_id().map(String::as_str)
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        self.0.timestamp()
    }

    /// 0 to 255.
    #[must_use]
    pub fn priority(&self) -> Option<u8> {
        self.0.priority()
    }

    /// All headers, in the order of the wire; a name may stand there more than once.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Field<'_>)> {
        let fields = self.0.headers().into_iter().flatten();
        fields.map(|header| (header.name_bytes(), field(&header)))
    }

    /// The headers whose names begin with `prefix`, as [`headers`](Self::headers) has them. The
    /// others are passed over without a look at their values.
    pub fn headers_of(&self, prefix: &str) -> impl Iterator<Item = (&[u8], Field<'_>)> {
        let fields = self.0.headers().into_iter().flatten();
        let fields =
            fields.filter(move |header| header.name_bytes().starts_with(prefix.as_bytes()));
        fields.map(|header| (header.name_bytes(), field(&header)))
    }

    /// One header: of several with the same name, the last.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Field<'_>> {
        let fields = self.0.headers()?.iter();
        let named = fields.filter(|header| header.name_bytes() == name.as_bytes());
        named.last().map(|header| field(&header))
    }
}

impl fmt::Debug for Properties {
    /// Names only what identifies a message: header values may be secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Properties")
            .field("message_id", &self.message_id())
            .finish_non_exhaustive()
    }
}

fn field<'a>(header: &amqprs::Field<'a>) -> Field<'a> {
    if let b'S' | b'x' = header.tag() {
        return Field::Text(header.value_bytes());
    }
    match header.value() {
        FieldValue::t(value) => Field::Boolean(value),
        FieldValue::b(value) => Field::Integer(value.into()),
        FieldValue::B(value) => Field::Integer(value.into()),
        FieldValue::s(value) | FieldValue::U(value) => Field::Integer(value.into()),
        FieldValue::u(value) => Field::Integer(value.into()),
        FieldValue::I(value) => Field::Integer(value.into()),
        FieldValue::i(value) => Field::Integer(value.into()),
        FieldValue::l(value) | FieldValue::L(value) => Field::Integer(value),
        FieldValue::f(value) => Field::Float(value.into()),
        FieldValue::d(value) => Field::Float(value),
        FieldValue::T(value) => Field::Timestamp(value),
        FieldValue::S(_)
        | FieldValue::x(_)
        | FieldValue::D(_)
        | FieldValue::A(_)
        | FieldValue::F(_)
        | FieldValue::V => Field::Compound,
    }
}

/// Makes properties from parts, for `explain` and for tests.
#[derive(Default)]
pub struct PropertiesBuilder {
    properties: BasicProperties,
    headers: amqprs::FieldTable,
}

/// Sets one property; text over 255 bytes, which AMQP cannot carry, is left out.
macro_rules! text_setters {
    ($($name:ident => $setter:ident),* $(,)?) => {
        $(
            #[doc = concat!("Sets `", stringify!($name), "`; text over 255 bytes, which AMQP cannot carry, is left out.")]
            #[must_use]
            pub fn $name(mut self, text: &str) -> Self {
                if text.len() <= 255 {
                    self.properties.$setter(text);
                }
                self
            }
        )*
    };
}

impl PropertiesBuilder {
    text_setters! {
        content_type => with_content_type,
        content_encoding => with_content_encoding,
        correlation_id => with_correlation_id,
        reply_to => with_reply_to,
        message_id => with_message_id,
        message_type => with_message_type,
        app_id => with_app_id,
        expiration => with_expiration,
        user_id => with_user_id,
    }

    /// Sets `timestamp`, in seconds since 1970.
    #[must_use]
    pub fn timestamp(mut self, seconds: u64) -> Self {
        self.properties.with_timestamp(seconds);
        self
    }

    /// Sets `priority`.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.properties.with_priority(priority);
        self
    }

    /// Adds a header with a text value; a name over 255 bytes is left out.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.field(name, FieldValue::from(value))
    }

    /// Adds a header with an integer value; a name over 255 bytes is left out.
    #[must_use]
    pub fn integer_header(self, name: &str, value: i64) -> Self {
        self.field(name, FieldValue::l(value))
    }

    /// Adds a header with a floating-point value; a name over 255 bytes is left out.
    #[must_use]
    pub fn float_header(self, name: &str, value: f64) -> Self {
        self.field(name, FieldValue::d(value))
    }

    /// Adds a header that is true or false; a name over 255 bytes is left out.
    #[must_use]
    pub fn boolean_header(self, name: &str, value: bool) -> Self {
        self.field(name, FieldValue::t(value))
    }

    /// Adds a header with a timestamp, in seconds since 1970; a name over 255 bytes is left out.
    #[must_use]
    pub fn timestamp_header(self, name: &str, seconds: u64) -> Self {
        self.field(name, FieldValue::T(seconds))
    }

    /// Adds a header without a single value, as a table or a list is one; a name over 255 bytes is
    /// left out.
    #[must_use]
    pub fn compound_header(self, name: &str) -> Self {
        self.field(name, FieldValue::V)
    }

    fn field(mut self, name: &str, value: FieldValue) -> Self {
        if let Ok(name) = amqprs::FieldName::try_from(name) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The properties.
    #[must_use]
    pub fn build(mut self) -> Properties {
        self.properties.with_headers(self.headers);
        Properties(self.properties)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_prefix_are_those_and_no_others_in_order() {
        let properties = PropertiesBuilder::default()
            .header("x-b", "1")
            .header("b", "2")
            .header("x", "3")
            .integer_header("x-a", 4)
            .build();
        let found: Vec<_> = properties.headers_of("x-").collect();
        assert_eq!(found, [(&b"x-b"[..], Field::Text(b"1")), (b"x-a", Field::Integer(4))]);
        assert_eq!(Properties::default().headers_of("x-").count(), 0);
    }
}
