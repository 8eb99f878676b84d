//! What the tests are made of: brokers, publishers, backends, proxies, and the daemon itself.

#![expect(
    unreachable_pub,
    reason = "one test binary: everything here is for the modules beside it"
)]

pub mod admin;
pub mod agent;
pub mod amqp;
pub mod backend;
pub mod broker;
pub mod collector;
pub mod daemon;
pub mod gate;
pub mod listener;
pub mod log;
pub mod management;
pub mod node;
pub mod notify;
pub mod proxy;
pub mod publisher;
pub mod reply;
pub mod scene;
pub mod terminal;
pub mod vhost;
pub mod wait;

pub use agent::Agent;
pub use amqp::Message;
pub use backend::Backend;
pub use broker::{Broker, on_every_release};
pub use collector::{Collector, Span};
pub use daemon::Daemon;
pub use gate::Gate;
pub use node::{PrivateNode, on_a_private_node_of_every_release};
pub use proxy::{Direction, Flow, Proxy};
pub use publisher::Publisher;
pub use reply::Reply;
pub use scene::Scene;
pub use vhost::Vhost;
