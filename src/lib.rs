//! amqp-agentd takes messages out of RabbitMQ queues and hands each one to HTTP backends, for
//! ever, without losing one, and tells the broker the truth about what happened.
//!
//! # How a message flows
//!
//! ```text
//! agents.d/*.toml ─▶ config ─▶ supervisor ──spawns──▶ agent (one task each)
//!                                                      │ owns
//!    RabbitMQ ─▶ broker session ─▶ delivery ─▶ request ─▶ backend ─▶ reply
//!        ▲                                                            │
//!        └────── broker session ◀─ settlement ◀─ outcome ◀────────────┘
//!                                      (pure)        (pure)
//! ```
//!
//! One direction, no back and forth; the modules below stand in the order in which a reader
//! meets them. ARCHITECTURE.md tells the house and its invariants.

pub mod cli;
pub mod config;
pub mod import;
pub mod daemon;
pub mod desk;
pub mod admin;
pub mod supervisor;
pub mod threads;
pub mod agent;
pub mod meters;
pub mod metrics;
pub mod broker;
pub mod audit;
pub mod delivery;
pub mod request;
pub mod backend;
pub mod outcome;
pub mod settlement;
pub mod copies;
pub mod spans;
pub mod backoff;
mod pace;
pub mod redrive;
pub mod explain;
pub mod logging;
mod open_files;
pub mod secret;
pub mod signals;
pub mod systemd;
pub mod tls;
