//! What is counted.

use std::net::SocketAddr;
use std::time::Duration;

use crate::amqp::{field, long_string, short_string};

/// The longest wait for anything that the daemon should do.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// One kind of message, and what becomes of it.
pub struct Case {
    /// As in the records.
    pub name: &'static str,
    /// Messages that are handed out and answered together.
    pub window: u32,
    pub body_bytes: usize,
    pub headers: usize,
    /// What the backend answers.
    pub status: u16,
}

const PLAIN: Case = Case { name: "", window: 50, body_bytes: 256, headers: 0, status: 204 };

/// All of them.
pub const CASES: [Case; 5] = [
    Case { name: "256-bytes", ..PLAIN },
    Case { name: "16-kib", body_bytes: 16 * 1024, ..PLAIN },
    Case { name: "10-headers", headers: 10, ..PLAIN },
    Case { name: "one-at-a-time", window: 1, ..PLAIN },
    // 404 and 409 are the message's fault: no breaker opens.
    Case { name: "requeued", status: 404, ..PLAIN },
];

/// A message as a publisher would make it.
pub struct Message {
    /// The octets of its properties, with their flags.
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

impl Case {
    pub fn message(&self) -> Message {
        let headers = (0..self.headers)
            .flat_map(|number| field(&format!("x-header-{number}"), "a value of some length"))
            .collect::<Vec<_>>();
        // content_type, delivery_mode, message_id; and headers.
        let flags: u16 = if headers.is_empty() { 0x9080 } else { 0xB080 };
        let table = if headers.is_empty() { Vec::new() } else { long_string(&headers) };
        let properties = [
            &flags.to_be_bytes()[..],
            &short_string("application/json"),
            &table,
            &[2],
            &short_string("0b9e6d0e-6d5c-4f0a-9c34-6f5d1e2a7b80"),
        ]
        .concat();
        Message { properties, body: vec![b'a'; self.body_bytes] }
    }

    /// The agent file.
    pub fn agent(&self, broker: SocketAddr, backend: SocketAddr) -> String {
        let window = self.window;
        format!(
            r#"
["async/amqp"]
host = "amqp://guest:guest@{broker}/"
name = "orders"
declare = "skip"
prefetch_count = {window}
heartbeat = "60s"
[consumer]
workers = {window}
timeout = "10m"
[connection]
health_interval = "1h"
[retry]
in_place = 0
delays = ["1ms"]
jitter = 0
strategy = "requeue"
[dead_letter]
enabled = false
[[backend]]
host = "http://{backend}"
url_pattern = "/orders"
"#
        )
    }
}
