//! Decimal fractions.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{LongInt, Octect};
use crate::Result;

/// A decimal fraction, `value` / 10^`scale`; tag `D`.
///
/// The value is signed, as RabbitMQ's errata has it (AMQP 0-9-1 §4.2.1 leaves
/// it open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecimalValue {
    scale: Octect,
    value: LongInt,
}

impl DecimalValue {
    /// The fraction `value` / 10^`scale`.
    #[must_use]
    pub fn new(scale: Octect, value: LongInt) -> Self {
        Self { scale, value }
    }

    /// How many decimal digits of the value stand after the point.
    #[must_use]
    pub fn scale(&self) -> Octect {
        self.scale
    }

    /// The digits, without a point.
    #[must_use]
    pub fn value(&self) -> LongInt {
        self.value
    }

    /// Reads the five octets that stand on the wire.
    pub(super) fn from_wire(octets: [u8; 5]) -> Self {
        let [scale, value @ ..] = octets;
        Self::new(scale, LongInt::from_be_bytes(value))
    }
}

/// `Decimal(scale, value)`.
impl fmt::Display for DecimalValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({}, {})", self.scale, self.value)
    }
}

impl<'de> Deserialize<'de> for DecimalValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (scale, value) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(scale, value))
    }
}

impl Serialize for DecimalValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.scale, self.value).serialize(serializer)
    }
}
