//! The types of AMQP 0-9-1 fields, as RabbitMQ has them.
//!
//! Names are those of the grammar in AMQP 0-9-1 §4.2.1 (one of them misspelt,
//! as the interface this crate stands in for has it). Where that grammar and
//! RabbitMQ differ, [RabbitMQ's errata](https://www.rabbitmq.com/amqp-0-9-1-errata),
//! section 3, holds.

mod byte_array;
mod conversions;
mod decimal;
mod field_array;
mod field_table;
mod field_value;
mod fields;
mod long_str;
mod names;
mod seen;
mod short_str;
mod text;

pub use byte_array::ByteArray;
pub use decimal::DecimalValue;
pub use field_array::FieldArray;
pub use field_table::FieldTable;
pub use field_value::FieldValue;
pub use fields::{Field, Fields};
pub use long_str::LongStr;
pub use names::*;
pub use short_str::ShortStr;

/// How many tables and arrays may stand inside one another before the innermost
/// is left as octets.
///
/// RabbitMQ itself lets through as many as fit in a frame, some 26,000 of them.
/// Nothing is lost of what lies deeper: it is only not looked into.
const DEPTH_MAX: u8 = 64;
