//! A virtual host of a test's own: its queues, consumers and connections.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::broker::Broker;
use super::management::segment;
use super::wait::eventually;

/// A virtual host that is deleted, with all that is in it, when the test ends.
#[derive(Debug)]
pub struct Vhost {
    /// The node it is on.
    pub broker: Broker,
    /// As it is, not percent-encoded.
    pub name: String,
}

/// What the broker says of a queue; the figures lag by up to a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that a consumer holds.
    pub unacked: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages ever published to it.
    pub published: u64,
    /// Messages ever acked.
    pub acked: u64,
    /// Deliveries that were not a message's first.
    pub redelivered: u64,
    /// All that the management interface says.
    pub all: Value,
}

impl Vhost {
    /// Makes a virtual host whose name begins with `stem`, which may hold any characters.
    pub fn create(broker: &Broker, stem: &str) -> Vhost {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Several runs may share a node.
        let name = format!("{stem}-{}-{number}-{:08x}", std::process::id(), fastrand::u32(..));
        let vhost = Vhost { broker: broker.clone(), name };
        vhost.broker.management.put(&format!("vhosts/{}", vhost.segment()), &json!({}));
        vhost.permit("guest", ".*", ".*", ".*");
        vhost
    }

    /// Sets what `user` may do here, by regular expressions of names.
    pub fn permit(&self, user: &str, configure: &str, write: &str, read: &str) {
        let permissions = json!({ "configure": configure, "write": write, "read": read });
        let path = format!("permissions/{}/{}", self.segment(), segment(user));
        self.broker.management.put(&path, &permissions);
    }

    /// The URI by which an agent reaches it.
    pub fn url(&self) -> String {
        self.url_by(self.broker.amqp_port)
    }

    /// The same, through another port of the loopback interface: a proxy's.
    pub fn url_by(&self, port: u16) -> String {
        self.url_as("guest", "guest", port)
    }

    /// The same, as another user.
    pub fn url_as(&self, user: &str, password: &str, port: u16) -> String {
        let (user, password) = (segment(user), segment(password));
        format!("amqp://{user}:{password}@127.0.0.1:{port}/{}", self.segment())
    }

    /// Its name as one segment of a path.
    pub fn segment(&self) -> String {
        segment(&self.name)
    }

    /// Declares a durable queue as an agent does by default.
    pub fn declare_queue(&self, name: &str) {
        self.declare_queue_with(name, &json!({}));
    }

    /// Declares a durable queue with `arguments`.
    pub fn declare_queue_with(&self, name: &str, arguments: &Value) {
        let queue = json!({ "durable": true, "auto_delete": false, "arguments": arguments });
        self.broker.management.put(&self.path("queues", name), &queue);
    }

    /// Declares a durable exchange.
    pub fn declare_exchange(&self, name: &str, exchange_type: &str) {
        let exchange = json!({ "type": exchange_type, "durable": true });
        self.broker.management.put(&self.path("exchanges", name), &exchange);
    }

    /// Binds a queue to an exchange.
    pub fn bind(&self, exchange: &str, queue: &str, routing_key: &str) {
        let (exchange, queue) = (segment(exchange), segment(queue));
        let path = format!("bindings/{}/e/{exchange}/q/{queue}", self.segment());
        self.broker.management.post(&path, &json!({ "routing_key": routing_key }));
    }

    /// Deletes a queue, and with it its consumers.
    pub fn delete_queue(&self, name: &str) {
        self.broker.management.delete(&self.path("queues", name));
    }

    /// Throws away the messages that wait in a queue.
    pub fn purge_queue(&self, name: &str) {
        self.broker.management.delete(&format!("{}/contents", self.path("queues", name)));
    }

    /// Sets a policy for the queues whose names match `pattern`.
    pub fn set_policy(&self, pattern: &str, definition: &Value) {
        let policy = json!({ "pattern": pattern, "definition": definition, "apply-to": "queues" });
        self.broker.management.put(&self.path("policies", "test"), &policy);
    }

    /// A queue; `None` while there is none of that name.
    pub fn queue(&self, name: &str) -> Option<Queue> {
        let all = self.broker.management.find(&self.path("queues", name))?;
        let figure = |key: &str| all[key].as_u64().unwrap_or_default();
        let ever = |key: &str| all["message_stats"][key].as_u64().unwrap_or_default();
        Some(Queue {
            ready: figure("messages_ready"),
            unacked: figure("messages_unacknowledged"),
            consumers: figure("consumers"),
            published: ever("publish"),
            acked: ever("ack"),
            redelivered: ever("redeliver"),
            all,
        })
    }

    /// Waits until a queue is as `is` wants it.
    pub async fn wait_for_queue(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&Queue) -> bool,
    ) -> Queue {
        eventually(&format!("queue {name} with {what}"), || match self.queue(name) {
            Some(queue) if is(&queue) => Ok(queue),
            Some(queue) => Err(format!("{queue:?}")),
            None => Err("there is no such queue".to_owned()),
        })
        .await
    }

    /// Waits until a queue has a consumer: an agent has taken it up.
    pub async fn wait_for_consumer(&self, queue: &str) {
        self.wait_for_queue(queue, "a consumer", |queue| queue.consumers > 0).await;
    }

    /// Waits until the broker has counted `published` messages in, and none is left in the queue.
    ///
    /// The figures come from different processes of the broker, each at its own time: whether the
    /// messages arrived is for the backend to say.
    pub async fn wait_until_empty(&self, queue: &str, published: u64) -> Queue {
        self.wait_for_queue(queue, "nothing left", |queue| {
            // A queue of which nothing is known yet is not empty.
            queue.published >= published && queue.all["messages"] == 0 && queue.unacked == 0
        })
        .await
    }

    /// The consumers: `queue.name`, `consumer_tag`, `prefetch_count`, `arguments`, …
    pub fn consumers(&self) -> Vec<Value> {
        self.list(&format!("consumers/{}", self.segment()))
    }

    /// The connections: `name`, `user`, `client_properties.connection_name`, …
    pub fn connections(&self) -> Vec<Value> {
        self.list(&format!("vhosts/{}/connections", self.segment()))
    }

    /// Waits until the broker lists `count` connections of agents, and gives their names.
    ///
    /// The publishers of the tests are not among them.
    pub async fn wait_for_connections(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} connections"), || {
            let names: Vec<_> = self
                .connections()
                .iter()
                .filter(|connection| connection["user_provided_name"] != super::publisher::NAME)
                .filter_map(|connection| connection["name"].as_str().map(str::to_owned))
                .collect();
            if names.len() == count { Ok(names) } else { Err(format!("{names:?}")) }
        })
        .await
    }

    /// Closes a connection as an operator does: 320, with `reason`.
    pub fn close_connection(&self, name: &str) {
        self.broker.management.delete(&format!("connections/{}", segment(name)));
    }

    /// The messages of a queue, at most `count`, left where they are: `payload`, `properties`, …
    pub fn peek(&self, queue: &str, count: u32) -> Vec<Value> {
        let body = json!({ "count": count, "ackmode": "ack_requeue_true", "encoding": "auto" });
        let got =
            self.broker.management.post(&format!("{}/get", self.path("queues", queue)), &body);
        got.as_array().cloned().unwrap_or_default()
    }

    fn list(&self, path: &str) -> Vec<Value> {
        self.broker
            .management
            .find(path)
            .and_then(|all| all.as_array().cloned())
            .unwrap_or_default()
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!("{kind}/{}/{}", self.segment(), segment(name))
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        let path = format!("vhosts/{}", self.segment());
        if let Err(error) = self.broker.management.request("DELETE", &path, None) {
            eprintln!("virtual host {} of {} stays: {error}", self.name, self.broker);
        }
    }
}
