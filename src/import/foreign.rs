//! What KrakenD has and this daemon has not: what becomes of it, and what to do instead.

/// What it means for an agent that a component is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that decides over a message: what is sent, and what success is, stay the same.
    Little,
    /// Requests, or what counts as success, become others.
    Changes,
    /// The messages do not go to an HTTP service at all.
    NotHttp,
}

/// A component without an equal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreign {
    /// What leaving it out means.
    pub effect: Effect,
    /// Why there is none.
    pub problem: &'static str,
    /// What to do instead.
    pub remedy: &'static str,
}

const fn foreign(effect: Effect, problem: &'static str, remedy: &'static str) -> Foreign {
    Foreign { effect, problem, remedy }
}

/// The long names that KrakenD still takes for what agents can have (krakend-ce, `main.go`).
const ALIASES: [(&str, &str); 20] = [
    ("github.com/devopsfaith/krakend-amqp/agent", "async/amqp"),
    ("github.com/devopsfaith/krakend/proxy", "proxy"),
    ("github.com/devopsfaith/krakend/http", "backend/http"),
    ("github.com/devopsfaith/krakend/proxy/plugin", "plugin/req-resp-modifier"),
    ("github.com/devopsfaith/krakend/transport/http/client/executor", "plugin/http-client"),
    ("github.com/devopsfaith/krakend/transport/http/client/graphql", "backend/graphql"),
    ("github.com/devopsfaith/krakend-httpcache", "qos/http-cache"),
    ("github.com/devopsfaith/krakend-circuitbreaker/gobreaker", "qos/circuit-breaker"),
    ("github.com/devopsfaith/krakend-oauth2-clientcredentials", "auth/client-credentials"),
    ("github.com/devopsfaith/krakend-cel", "validation/cel"),
    ("github.com/devopsfaith/krakend-jsonschema", "validation/json-schema"),
    ("github.com/devopsfaith/krakend-amqp/consume", "backend/amqp/consumer"),
    ("github.com/devopsfaith/krakend-amqp/produce", "backend/amqp/producer"),
    ("github.com/devopsfaith/krakend-lambda", "backend/lambda"),
    ("github.com/devopsfaith/krakend-pubsub/publisher", "backend/pubsub/publisher"),
    ("github.com/devopsfaith/krakend-pubsub/subscriber", "backend/pubsub/subscriber"),
    ("github.com/devopsfaith/krakend-lua/proxy", "modifier/lua-proxy"),
    ("github.com/devopsfaith/krakend-lua/proxy/backend", "modifier/lua-backend"),
    ("github.com/devopsfaith/krakend-lua/router", "modifier/lua-endpoint"),
    ("github.com/devopsfaith/krakend-martian", "modifier/martian"),
];

/// The short name of a component.
pub(super) fn canonical(namespace: &str) -> &str {
    let alias = ALIASES.iter().find(|(long, _)| *long == namespace);
    alias.map_or(namespace, |(_, short)| short)
}

/// The component `namespace` of a backend.
pub(super) fn of_backend(namespace: &str) -> Foreign {
    use Effect::{Changes, Little, NotHttp};
    match canonical(namespace) {
        "qos/circuit-breaker" | "qos/circuit-breaker/http" => foreign(
            Little,
            "a backend that fails is held here without being told to, and messages wait where KrakenD requeues them",
            "nothing to do: see \"Hold\" in the README",
        ),
        "qos/ratelimit/proxy" => foreign(
            Little,
            "rates are limited by agent, and what is over the limit waits where KrakenD requeues it",
            "set `max_rate` in [consumer]",
        ),
        "qos/http-cache" => {
            foreign(Little, "no reply is kept: each message is handed over", "nothing to do")
        }
        "backend/http" => foreign(
            Little,
            "its `return_error_details` has KrakenD ack what failed; here the status decides",
            "name the statuses that are none the less a success in `status.success` of the backend",
        ),
        "backend/http/client" => foreign(
            Little,
            "how to connect is said otherwise, and redirects are never followed",
            "write certificates into `tls` of the backend; a proxy is taken from HTTP_PROXY and HTTPS_PROXY",
        ),
        "auth/client-credentials" | "auth/gcp" | "auth/ntlm" | "auth/aws-sigv4" => foreign(
            Changes,
            "no token is fetched and no request signed here",
            "put a proxy that does it before the backend, or a fixed one into its `headers`: `authorization = \"Bearer ${cred:NAME}\"`",
        ),
        "modifier/martian" => foreign(
            Changes,
            "requests are not modified here",
            "write fixed headers into `headers` of the backend; do the rest in the backend",
        ),
        "modifier/response-body"
        | "modifier/response-body-generator"
        | "modifier/jmespath"
        | "validation/response-json-schema" => REPLY,
        "validation/cel" => VALIDATION,
        "backend/graphql"
        | "backend/soap"
        | "modifier/body-generator"
        | "modifier/request-body-generator"
        | "modifier/request-body-extractor" => foreign(
            Changes,
            "a message's body is sent as it came",
            "make the request's body in the publisher, or in a service of your own that the agent tells",
        ),
        "modifier/lua-backend" | "plugin/http-client" => CODE,
        "backend/amqp/consumer" | "backend/amqp/producer" => foreign(
            NotHttp,
            "messages go to HTTP backends only, not to an exchange",
            "let RabbitMQ do it: bind another queue, or a shovel",
        ),
        "backend/pubsub/publisher"
        | "backend/pubsub/subscriber"
        | "backend/pubsub/publisher/kafka"
        | "backend/pubsub/subscriber/kafka" => foreign(
            NotHttp,
            "messages go to HTTP backends only, not to another broker",
            "put a service of your own between, or keep this agent in KrakenD",
        ),
        "backend/lambda" | "backend/grpc" | "backend/static-filesystem" => foreign(
            NotHttp,
            "messages go to HTTP backends only",
            "give it an HTTP address (a function URL, a gateway), or keep this agent in KrakenD",
        ),
        other => of_any(other),
    }
}

/// The component `namespace` of an agent itself.
pub(super) fn of_agent(namespace: &str) -> Foreign {
    use Effect::{Changes, Little};
    match canonical(namespace) {
        "validation/cel" | "validation/json-schema" => VALIDATION,
        "modifier/lua-proxy" => CODE,
        "modifier/request-body-generator"
        | "modifier/request-body-extractor"
        | "modifier/request-body-extractor/early" => foreign(
            Changes,
            "a message's body is sent as it came",
            "make the request's body in the publisher, or in a service of your own that the agent tells",
        ),
        "modifier/response-body"
        | "modifier/response-body-generator"
        | "modifier/jmespath"
        | "validation/response-json-schema" => REPLY,
        "modifier/lua-endpoint"
        | "auth/validator"
        | "auth/signer"
        | "auth/api-keys"
        | "auth/basic"
        | "websocket"
        | "ai/mcp" => NO_USER,
        name if name.starts_with("security/") && name != "security/policies" => NO_USER,
        name if name.starts_with("qos/ratelimit/") => foreign(
            Little,
            "it limits an endpoint's users, of which an agent has none",
            "nothing to do, or set `max_rate` in [consumer]",
        ),
        name if name.starts_with("documentation/") => NO_USER,
        other => of_any(other),
    }
}

/// What agents and backends can have alike.
fn of_any(namespace: &str) -> Foreign {
    match namespace {
        name if name.starts_with("telemetry/") => foreign(
            Effect::Little,
            "log, metrics and traces are the daemon's own",
            "see \"In operation\" in the README",
        ),
        "plugin/req-resp-modifier" | "plugin/middleware" => CODE,
        _ => foreign(
            Effect::Changes,
            "this daemon has no such component",
            "see in KrakenD's documentation what it does to a request, and do that in the backend or before it",
        ),
    }
}

const VALIDATION: Foreign = foreign(
    Effect::Changes,
    "messages are not looked into here",
    "validate in the backend: what it answers with 422 becomes a dead letter",
);

const CODE: Foreign = foreign(
    Effect::Changes,
    "no code of others is run here, and a message's body is sent as it came",
    "do it in the publisher, in the backend, or in a service of your own between",
);

const REPLY: Foreign =
    foreign(Effect::Little, "a reply's body is not looked at: its status decides", "nothing to do");

const NO_USER: Foreign = foreign(
    Effect::Little,
    "it is about an endpoint's users, of which an agent has none",
    "nothing to do",
);

/// What a key of a backend, without an equal, means.
pub(super) fn of_backend_key(key: &str) -> Option<Foreign> {
    match key {
        "allow" | "deny" | "mapping" | "group" | "target" | "is_collection" => Some(REPLY),
        "input_headers" | "input_query_strings" => Some(foreign(
            Effect::Little,
            "an agent has no user's headers and queries; a message's properties become headers by themselves",
            "nothing to do",
        )),
        _ => None,
    }
}

/// What a key at the top of the file means for agents.
pub(super) fn of_service(key: &str) -> Option<(&'static str, &'static str)> {
    let known = match key {
        "client_tls" => (
            "certificates are each backend's own here",
            "write `tls = { ca = \"…\", cert = \"…\", key = \"…\" }` into each [[backend]] with https hosts, or into [defaults.backend] of the main file; a server is always verified",
        ),
        "allow_insecure_connections" => (
            "a server is always verified here",
            "trust one of your own by `tls = { ca = \"…\" }` in [[backend]]",
        ),
        "max_shutdown_wait_time" => (
            "it is set for the daemon as a whole",
            "set `drain_timeout` in [daemon] of the main file",
        ),
        "dialer_timeout" | "response_header_timeout" | "expect_continue_timeout" => (
            "an attempt has one time limit here",
            "see that `timeout` in [consumer], or of the backend, is short enough",
        ),
        "dns_cache_ttl" => ("SRV records are not looked up here", "nothing to do"),
        "disable_keep_alives"
        | "max_idle_connections"
        | "max_idle_connections_per_host"
        | "idle_connection_timeout"
        | "dialer_keep_alive"
        | "dialer_fallback_delay"
        | "disable_compression" => ("connections are kept as they are needed", "nothing to do"),
        _ => return None,
    };
    Some(known)
}
