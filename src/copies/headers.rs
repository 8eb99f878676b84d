//! The headers that we add to copies of messages, by name.
//!
//! Their values say where a message came from and how it failed: those of a retry are read when
//! it comes back, those of a dead letter are for people, and for `redrive`.

/// Text: the exchange that the message was published to.
pub const EXCHANGE: &str = "x-agent-exchange";

/// Text: the routing key that it was published with.
pub const ROUTING_KEY: &str = "x-agent-routing-key";

/// Integer: deliveries that failed.
pub const ATTEMPTS: &str = "x-agent-attempts";

/// Integer: requests that failed.
pub const TRIES: &str = "x-agent-tries";

/// Timestamp, in seconds: when it failed first.
pub const FIRST_FAILURE: &str = "x-agent-first-failure";

/// Timestamp, in seconds: when it failed last.
pub const LAST_FAILURE: &str = "x-agent-last-failure";

/// Text: why it failed last, in one word: `refused`, `impossible`, `attempts` or `max_age`.
pub const REASON: &str = "x-agent-reason";

/// Text: what the backend said, as in the log.
pub const ERROR: &str = "x-agent-error";

/// Integer: the HTTP status, where one came.
pub const STATUS: &str = "x-agent-status";

/// Text: the backend that decided.
pub const BACKEND: &str = "x-agent-backend";

/// Text: the start of the reply's body.
pub const REPLY: &str = "x-agent-reply";

/// Text: the names of the backends that have the message, one a line: a retry tells the others.
pub const DONE: &str = "x-agent-done";

/// Text: the agent. Only a dead letter has it: one that comes again starts afresh.
pub const DEAD_LETTERED_BY: &str = "x-agent-dead-lettered-by";

/// Text: the message's own `expiration`, which would end its copy.
pub const EXPIRATION: &str = "x-agent-expiration";

/// Text: the message's own `user_id`, which the broker would refuse from us.
pub const USER_ID: &str = "x-agent-user-id";

/// What all of the above begin with, and the message's own headers that a copy must not have.
pub const PREFIX: &str = "x-agent-";

/// The message's own `CC`, by which the broker would route its copy to other queues as well.
pub const CC: &str = "x-agent-cc";

/// What the broker says of earlier dead-lettering, and the names under which a retry keeps it.
pub const DEATHS: [(&str, &str); 7] = [
    ("x-death", "x-agent-x-death"),
    ("x-first-death-queue", "x-agent-x-first-death-queue"),
    ("x-first-death-reason", "x-agent-x-first-death-reason"),
    ("x-first-death-exchange", "x-agent-x-first-death-exchange"),
    ("x-last-death-queue", "x-agent-x-last-death-queue"),
    ("x-last-death-reason", "x-agent-x-last-death-reason"),
    ("x-last-death-exchange", "x-agent-x-last-death-exchange"),
];
