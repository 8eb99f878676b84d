//! Backends against real servers on the loopback interface: what each failure is called, what is
//! sent, and how often.
#![cfg(test)]

mod failures;
mod hosts;
mod http2;
mod proxies;
mod replies;
mod server;
mod tls;
