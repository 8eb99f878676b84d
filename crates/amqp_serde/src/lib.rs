//! AMQP 0-9-1 field types for [serde], which no message can make fail.
//!
//! The client library `amqprs` reads and writes every frame through a crate of
//! this name. This one offers the same public interface, so that a
//! `[patch.crates-io]` entry puts it in place, and keeps three promises:
//!
//! * **It takes what RabbitMQ takes.** Strings need not be UTF-8 (the
//!   specification says "octets", AMQP 0-9-1 §4.2.5.3), and every field type of
//!   [RabbitMQ's errata], section 3, is understood. What is not understood
//!   inside a table or an array is kept as octets.
//! * **It gives back what it took.** A string, table or array encodes to the
//!   octets it was decoded from.
//! * **It never panics, and never believes a length** before it has seen the
//!   octets.
//!
//! How: tables and arrays *are* their octets. They are copied once when a frame
//! is decoded and looked into only when somebody asks. So a message that is
//! handed on without its headers being read costs one copy of them, and one
//! nested ten thousand deep costs the same.
//!
//! ```
//! use amqp_serde::types::{FieldTable, FieldValue, ShortStr};
//! use amqp_serde::{from_bytes, to_bytes};
//!
//! // One field, named by the single octet FF, with an unsigned-looking `L`.
//! let wire = b"\0\0\0\x0b\x01\xffL\0\0\0\0\0\0\0\x07";
//! let table: FieldTable = from_bytes(wire)?;
//!
//! let name = ShortStr::try_from(&b"\xff"[..])?;
//! assert_eq!(table.get(&name), Some(&FieldValue::L(7)));
//! assert_eq!(name.as_str(), None);
//! assert_eq!(name.to_string(), "\u{fffd}");
//! assert_eq!(to_bytes(&table)?, wire);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [RabbitMQ's errata]: https://www.rabbitmq.com/amqp-0-9-1-errata

#![warn(clippy::unwrap_used, clippy::panic)]

mod de;
mod error;
mod octets;
mod scan;
mod ser;
pub mod types;

pub use de::{Deserializer, from_bytes};
pub use error::{Error, Result};
pub use ser::{Serializer, to_buffer, to_bytes};
