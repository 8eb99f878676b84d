//! What can go wrong between octets and values.

use std::fmt;

/// The result of reading or writing octets.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why octets could not be read, or a value could not be written.
#[derive(Debug)]
pub enum Error {
    /// Any other reason, in words.
    Message(String),
    /// The octets ended in the middle of a value.
    Eof,
    /// A length or a type tag that cannot be (AMQP 0-9-1 §4.2.1).
    Syntax,
    /// Octets were left over after the value.
    Incomplete,
    /// A string, sequence or map was asked for, and no length came before it.
    ExpectedLength,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message(reason) => reason,
            Self::Eof => "octets ended inside a value",
            Self::Syntax => "a length or type tag that cannot be",
            Self::Incomplete => "octets left over after the value",
            Self::ExpectedLength => "no length before a value of variable size",
        })
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Message(reason.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Message(reason.to_string())
    }
}
