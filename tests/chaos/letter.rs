//! A message by its number: what is published, and what its backends will make of it. A pure
//! function of seed and number, so that nobody has to keep two hundred KiB to compare them.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::support::Message;
use crate::support::amqp::{field, long_string};

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Two required backends, at which all faults are.
    Orders,
    /// The neighbour: its one backend is always well.
    Parcels,
}

impl Agent {
    pub const ALL: [Agent; 2] = [Agent::Orders, Agent::Parcels];

    /// Of agent and queue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Parcels => "parcels",
        }
    }

    /// Its required backends, by their places among all.
    pub fn sites(self) -> &'static [usize] {
        match self {
            Self::Orders => &[0, 1],
            Self::Parcels => &[2],
        }
    }
}

/// What a backend that is well says to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Success.
    Fine,
    /// Success after so many failures.
    Later(usize),
    /// 422, for ever.
    Refused,
    /// 500, for ever.
    Poison,
}

/// What is planned for a message.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub agent: Agent,
    pub fate: Fate,
    /// The backend that `fate` is about; the other ones have no objection.
    pub site: usize,
}

impl Plan {
    /// Whether it ends as a dead letter, sooner or later.
    pub fn is_doomed(&self) -> bool {
        matches!(self.fate, Fate::Refused | Fate::Poison)
    }
}

/// A message.
pub struct Letter {
    pub plan: Plan,
    pub body: Vec<u8>,
    pub message: Message,
    /// The headers of the request for it that its properties make.
    expected: Vec<(&'static str, String)>,
    /// Names of application headers that a request has, in small letters.
    application: Vec<&'static str>,
    /// Properties of a copy, and its headers beside ours, as the management interface tells them.
    properties: Map<String, Value>,
    headers: Map<String, Value>,
}

/// Headers that the broker puts on a delivery.
const OF_THE_BROKER: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// The exchange that orders come through; half of them.
pub const EXCHANGE: &str = "chaos";

impl Letter {
    pub fn new(seed: u64, number: usize) -> Letter {
        let mut rng =
            Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (agent, fate) = match number % 200 {
            // These come for certain, since they are what every kind of copy is made of.
            0 => (Agent::Orders, Fate::Poison),
            50 => (Agent::Parcels, Fate::Poison),
            100 => (Agent::Orders, Fate::Refused),
            150 => (Agent::Parcels, Fate::Refused),
            _ => drawn(&mut rng),
        };
        let site = agent.sites()[rng.usize(..agent.sites().len())];
        let plan = Plan { agent, fate, site };
        let body = body(&mut rng);
        let exchange = if agent == Agent::Orders && rng.bool() { EXCHANGE } else { "" };
        let key = if exchange.is_empty() { agent.name() } else { "order.created" };
        let mut letter = Letter {
            plan,
            message: Message::through(exchange, key, body.clone()),
            body,
            expected: vec![("x-amqp-routing-key", key.to_owned())],
            application: Vec::new(),
            properties: Map::new(),
            headers: Map::new(),
        };
        if !exchange.is_empty() {
            letter.expected.push(("x-amqp-exchange", exchange.to_owned()));
        }
        letter.put_properties(&mut rng, number);
        letter.put_headers(&mut rng, number);
        letter
    }

    fn put_properties(&mut self, rng: &mut Rng, number: usize) {
        let id = number.to_string();
        let mut message = self.message.clone().message_id(&id);
        let mut put = |property: &str, header: &[&'static str], value: &str| {
            self.properties.insert(property.to_owned(), value.into());
            self.expected.extend(header.iter().map(|name| (*name, value.to_owned())));
        };
        put("message_id", &["x-amqp-message-id", "idempotency-key"], &id);
        if rng.bool() {
            put("content_type", &["content-type"], "application/json");
            message = message.content_type("application/json");
        } else {
            self.expected.push(("content-type", "application/octet-stream".to_owned()));
        }
        let mut put = |property: &str, header: &[&'static str], value: &str| {
            self.properties.insert(property.to_owned(), value.into());
            self.expected.extend(header.iter().map(|name| (*name, value.to_owned())));
        };
        if rng.u32(..4) == 0 {
            let correlation = format!("cörrelation {number}");
            put("correlation_id", &["x-amqp-correlation-id"], &correlation);
            put("reply_to", &["x-amqp-reply-to"], "answers");
            put("type", &["x-amqp-type"], "created");
            put("app_id", &["x-amqp-app-id"], "chaos");
            put("content_encoding", &["content-encoding"], "identity");
            message = message.correlation_id(correlation).reply_to("answers");
            message = message.message_type("created").app_id("chaos").content_encoding("identity");
        }
        if rng.u32(..4) == 0 {
            self.properties.insert("timestamp".to_owned(), 1_700_000_000.into());
            self.properties.insert("priority".to_owned(), 4.into());
            self.expected.push(("x-amqp-timestamp", "1700000000".to_owned()));
            self.expected.push(("x-amqp-priority", "4".to_owned()));
            message = message.timestamp(1_700_000_000).priority(4);
        }
        if rng.u32(..10) == 0 {
            // A day. A copy must not have it: it would end it.
            message = message.expiration("86400000");
        }
        self.properties.insert("delivery_mode".to_owned(), 2.into());
        self.message = message;
    }

    fn put_headers(&mut self, rng: &mut Rng, number: usize) {
        let mut message = self.message.clone();
        if rng.u32(..3) == 0 {
            let tenant = format!("tenant {}", number % 7);
            message = message.header("Tenant", &tenant);
            let octets = (number as u64).to_be_bytes();
            message = message.raw_header("count", b'l', &octets).raw_header("vip", b't', &[1]);
            self.expected.push(("x-amqp-header-tenant", tenant.clone()));
            self.expected.push(("x-amqp-header-count", number.to_string()));
            self.expected.push(("x-amqp-header-vip", "true".to_owned()));
            self.application.extend(["tenant", "count", "vip"]);
            self.headers.insert("Tenant".to_owned(), tenant.into());
            self.headers.insert("count".to_owned(), number.into());
            self.headers.insert("vip".to_owned(), true.into());
        }
        if rng.u32(..8) == 0 {
            // None of these has a form in HTTP; a copy has them all the same.
            let table = long_string(field("inner", b'S', &long_string("value")));
            let array = long_string([&b"S"[..], &long_string("one"), b"I", &[0, 0, 0, 2]].concat());
            message = message.raw_header("table", b'F', &table).raw_header("list", b'A', &array);
            message = message.raw_header("nothing", b'V', &[]).header("lines", "one\r\ntwo: 2");
            self.headers.insert("table".to_owned(), json!({ "inner": "value" }));
            self.headers.insert("list".to_owned(), json!(["one", 2]));
            self.headers.insert("lines".to_owned(), "one\r\ntwo: 2".into());
            message = message.header("a blank", "not a token").header("empty", "");
            self.headers.insert("a blank".to_owned(), "not a token".into());
            self.headers.insert("empty".to_owned(), "".into());
            self.expected.push(("x-amqp-header-empty", String::new()));
            self.application.push("empty");
        }
        self.message = message;
    }

    /// What is wrong with a request that is for this message.
    pub fn faults_of_request(&self, headers: &[(String, String)], body: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        if body != self.body {
            faults.push(format!("a body of {} octets is not as published", body.len()));
        }
        for (name, wanted) in &self.expected {
            let found = headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value);
            let found: Vec<_> = found.collect();
            if found != [wanted] {
                faults.push(format!("{name} is {found:?}, not {wanted:?}"));
            }
        }
        for (name, _) in headers {
            if let Some(name) = name.strip_prefix("x-amqp-header-")
                && !self.application.contains(&name)
                && !OF_THE_BROKER.contains(&name)
            {
                faults.push(format!("nobody published a header {name}"));
            }
        }
        faults
    }

    /// What is wrong with a dead letter that is a copy of this message, by what the management
    /// interface tells of its properties.
    pub fn faults_of_copy(&self, properties: &Value, body: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        if body != self.body {
            faults.push(format!("a copy's body of {} octets is not as published", body.len()));
        }
        for (name, wanted) in &self.properties {
            let found = &properties[name];
            if found != wanted {
                faults.push(format!("a copy's {name} is {found}, not {wanted}"));
            }
        }
        for (name, wanted) in &self.headers {
            let found = &properties["headers"][name];
            if found != wanted {
                faults.push(format!("a copy's header {name} is {found}, not {wanted}"));
            }
        }
        for name in properties["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if !name.starts_with("x-agent-")
                && !self.headers.contains_key(name)
                && name != "nothing"
                && !OF_THE_BROKER.contains(&name.as_str())
            {
                faults.push(format!("a copy has a header {name}, which nobody published"));
            }
        }
        faults
    }
}

fn drawn(rng: &mut Rng) -> (Agent, Fate) {
    let agent = if rng.u32(..3) == 0 { Agent::Parcels } else { Agent::Orders };
    let fate = match rng.u32(..1000) {
        0..6 => Fate::Refused,
        6..8 => Fate::Poison,
        8..70 => Fate::Later(rng.usize(1..=3)),
        _ => Fate::Fine,
    };
    (agent, fate)
}

/// Empty, small, of some KiB, or up to 200 KiB; binary.
fn body(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.u32(..100) {
        0..5 => 0,
        5..60 => rng.usize(1..1024),
        60..97 => rng.usize(1024..8192),
        _ => rng.usize(8192..200 * 1024),
    };
    let mut body = vec![0; length];
    rng.fill(&mut body);
    body
}
