//! What a message becomes: the requests that an agent would send, and what follows from a reply.
//!
//! Nothing is sent. [`sample`] is the message, [`wire`] its requests as octets would have them,
//! [`story`] what is told of a rehearsal of the agent. Only [`peek`] asks a broker.

pub mod peek;
pub mod sample;
pub mod shown;
pub mod span;
pub mod story;
pub mod wire;
