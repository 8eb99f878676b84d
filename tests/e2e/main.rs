//! End to end: the real daemon between real RabbitMQ nodes and scripted HTTP backends.
//!
//! `scripts/test` starts the brokers and names them in `AMQP_AGENTD_TEST_BROKER_3` and `_4`;
//! without these a run starts nodes of its own and removes them when it ends. Each test has a
//! virtual host to itself, waits for what it expects with a generous deadline, and asserts
//! nothing of how long things take.

#[cfg(test)]
mod acks;

#[cfg(test)]
mod admin;

#[cfg(test)]
mod admin_document;

#[cfg(test)]
mod admin_guests;

#[cfg(test)]
mod admin_socket;

#[cfg(test)]
mod breaker;

#[cfg(test)]
mod chaos;

#[cfg(test)]
mod command_line;

#[cfg(test)]
mod connection_loss;

#[cfg(test)]
mod delivery;

#[cfg(test)]
mod dead_letters;

#[cfg(test)]
mod dispatch;

#[cfg(test)]
mod explain;

#[cfg(test)]
mod hold;

#[cfg(test)]
mod import;

#[cfg(test)]
mod isolation;

#[cfg(test)]
mod log;

#[cfg(test)]
mod metrics;

#[cfg(test)]
mod many_agents;

#[cfg(test)]
mod odd_headers;

#[cfg(test)]
mod online;

#[cfg(test)]
mod package;

#[cfg(test)]
mod pause;

#[cfg(test)]
mod publishing;

#[cfg(test)]
mod redrive;

#[cfg(test)]
mod reload;

#[cfg(test)]
mod replies;

#[cfg(test)]
mod retries;

#[cfg(test)]
mod service;

#[cfg(test)]
mod session;

#[cfg(test)]
mod status;

#[cfg(test)]
mod stop;

#[cfg(test)]
mod support;

#[cfg(test)]
mod support_works;

#[cfg(test)]
mod tracing;

#[cfg(test)]
mod transport;

#[cfg(test)]
mod verbs;
