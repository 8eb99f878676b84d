//! A string that is never shown: passwords, tokens, header values from credentials.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A value that `Debug` and `Display` never show and that is wiped when dropped.
///
/// Two secrets can be compared, so that a reload notices a rotated one.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `value`.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself, for the one place that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_rotated_secret_differs_from_the_old_one() {
        assert_ne!(Secret::new("old"), Secret::new("new"));
        assert_eq!(Secret::new("same"), Secret::new("same"));
    }
}
