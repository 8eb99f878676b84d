//! The only place that names the client library: sessions, and the properties of messages.

pub mod properties;
