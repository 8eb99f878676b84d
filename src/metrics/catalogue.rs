//! Every metric: its name, its labels and what it says, and nowhere else.
//!
//! A label has few values, and the agents' files say how many: names of agents and backends, and
//! words of ours. Nothing that a message brings along is ever a label.

use super::metric::{Metric, metric};

pub(super) static BUILD: Metric<1> =
    metric("amqp_agentd_build_info", ["version"], "The release that runs, always 1.");
pub(super) static STOPPING: Metric<0> =
    metric("amqp_agentd_stopping", [], "1 while the daemon drains before its end, else 0.");
pub(super) static RELOADS: Metric<1> = metric(
    "amqp_agentd_config_reloads_total",
    ["result"],
    "Reloads of the files since the start: ok, or failed where any file was broken.",
);
pub(super) static LOAD_OK: Metric<0> = metric(
    "amqp_agentd_config_last_load_successful",
    [],
    "1 where the files were all well when they were last read, at the start or a reload, else 0.",
);
pub(super) static LOAD_AT: Metric<0> = metric(
    "amqp_agentd_config_last_load_timestamp_seconds",
    [],
    "When the files were last read, well or not.",
);
pub(super) static BROKEN_FILES: Metric<0> = metric(
    "amqp_agentd_config_broken_files",
    [],
    "Agent files that were broken when last read; their agents run on as they were.",
);

pub(super) static STATE: Metric<2> = metric(
    "amqp_agentd_agent_state",
    ["agent", "state"],
    "1 for the state that the agent is in, 0 for the others.",
);
pub(super) static STATE_SINCE: Metric<1> = metric(
    "amqp_agentd_agent_state_since_timestamp_seconds",
    ["agent"],
    "When the agent came into its state.",
);
pub(super) static PANICS: Metric<1> = metric(
    "amqp_agentd_agent_panics_total",
    ["agent"],
    "Panics after which the agent was started again; each is a bug of the daemon.",
);
pub(super) static SESSIONS_ENDED: Metric<2> = metric(
    "amqp_agentd_sessions_ended_total",
    ["agent", "cause"],
    "Sessions with the broker that were lost or could not begin.",
);
pub(super) static LAST_ALIVE: Metric<1> = metric(
    "amqp_agentd_last_alive_timestamp_seconds",
    ["agent"],
    "When the agent last worked on a session; missing until it first has.",
);
pub(super) static LAST_RECEIVED: Metric<1> = metric(
    "amqp_agentd_last_received_timestamp_seconds",
    ["agent"],
    "When the last message came; missing until one has.",
);

pub(super) static RECEIVED: Metric<1> =
    metric("amqp_agentd_messages_received_total", ["agent"], "Messages that the broker sent.");
pub(super) static SETTLED: Metric<2> = metric(
    "amqp_agentd_messages_settled_total",
    ["agent", "kind"],
    "Messages that the broker was told to be done with, by what became of them.",
);
pub(super) static ABANDONED: Metric<1> = metric(
    "amqp_agentd_messages_abandoned_total",
    ["agent"],
    "Messages given up with their session; the broker sends them again.",
);
pub(super) static HELD: Metric<1> =
    metric("amqp_agentd_messages_held", ["agent"], "Messages that came and are not settled.");
pub(super) static IN_FLIGHT: Metric<1> = metric(
    "amqp_agentd_messages_in_flight",
    ["agent"],
    "Messages whose requests are under way, which is the number of busy workers.",
);
pub(super) static WINDOW: Metric<1> = metric(
    "amqp_agentd_window_messages",
    ["agent"],
    "The most messages that the agent holds: prefetch_count.",
);
pub(super) static WORKERS: Metric<1> =
    metric("amqp_agentd_workers", ["agent"], "The most messages that are in flight at once.");
pub(super) static DROPPED: Metric<0> = metric(
    "amqp_agentd_messages_dropped_unsettled_total",
    [],
    "Messages that the daemon lost hold of; a bug of the daemon, so 0.",
);
pub(super) static DEAD_LETTERS: Metric<2> = metric(
    "amqp_agentd_dead_letters_total",
    ["agent", "reason"],
    "Messages of which a copy is among the dead letters, by why.",
);
pub(super) static IN_PLACE: Metric<1> = metric(
    "amqp_agentd_in_place_retries_total",
    ["agent"],
    "Tries after a failed one while the message was held.",
);
pub(super) static DELAY: Metric<1> = metric(
    "amqp_agentd_message_delay_seconds",
    ["agent"],
    "From a message's timestamp, in whole seconds, to its ack; of messages that have one.",
);

pub(super) static REQUESTS: Metric<4> = metric(
    "amqp_agentd_backend_requests_total",
    ["agent", "backend", "status_class", "outcome"],
    "Requests that ended, by the reply's class and what it was taken for.",
);
pub(super) static REQUEST_DURATION: Metric<2> = metric(
    "amqp_agentd_backend_request_duration_seconds",
    ["agent", "backend"],
    "From the start of a request to its reply, or to the end of waiting for one.",
);
pub(super) static BREAKER_OPEN: Metric<2> = metric(
    "amqp_agentd_backend_breaker_open",
    ["agent", "backend"],
    "1 while the agent takes what the backend answers for an outage, else 0.",
);
pub(super) static UNREACHABLE: Metric<2> = metric(
    "amqp_agentd_backend_unreachable",
    ["agent", "backend"],
    "1 while none of the backend's hosts can be reached, else 0.",
);

pub(super) static CPU: Metric<0> =
    metric("process_cpu_seconds_total", [], "CPU time, user and system.");
pub(super) static RESIDENT: Metric<0> =
    metric("process_resident_memory_bytes", [], "Memory that is resident.");
pub(super) static VIRTUAL: Metric<0> = metric("process_virtual_memory_bytes", [], "Address space.");
pub(super) static OPEN_FILES: Metric<0> =
    metric("process_open_fds", [], "File descriptors that are open.");
pub(super) static OPEN_FILES_MAX: Metric<0> =
    metric("process_max_fds", [], "File descriptors that may be open.");
pub(super) static THREADS: Metric<0> = metric("process_threads", [], "Threads.");
pub(super) static STARTED: Metric<0> =
    metric("process_start_time_seconds", [], "When the daemon started.");
