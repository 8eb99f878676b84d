//! The only place that names the client library: sessions, and the properties of messages.
//!
//! A [`Session`] is one connection with one channel and one consumer, owned by one task. It is
//! never repaired: whatever ends it is told as an [`Ended`], and the agent opens a new one.
//! That, and each rule in here about *how* the library is called, is the answer to a trap of
//! it that the tests provoke.

pub mod acks;
mod amended;
mod arguments;
mod closing;
mod deaths;
mod ended;
mod greeting;
mod inspection;
mod login;
pub mod properties;
mod publisher;
mod rpc;
mod server;
mod session;
mod taker;
#[cfg(test)]
pub(crate) mod tests;
mod topology;

pub use amended::{Added, Fate, Removed};
pub use deaths::Death;
pub use ended::Ended;
pub use inspection::{Answer, Inspection};
pub use publisher::{Copy, CopyQueue, NotSafe, Publisher, Publishers};
pub use server::Server;
pub use session::{Event, Session};
pub use taker::Taker;
