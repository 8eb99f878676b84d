//! AMQP 0-9-1 by hand: as much of it as a publisher, a consumer and a look at a queue need.

mod client;
mod frame;

pub use client::Client;
pub use frame::{Frame, ack, first_frame, nack};
