//! amqp-agentd: RabbitMQ queues to HTTP backends, at least once.
#![warn(missing_docs)]

pub mod backoff;
pub mod backend;
pub mod broker;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod outcome;
pub mod request;
pub mod secret;
pub mod settlement;
pub mod tls;
