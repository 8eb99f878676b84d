//! The backends of an agent: where messages go.

use std::time::Duration;

use super::draft::{Draft, Found, quoted};
use super::foreign::{self, Effect, canonical};
use super::notes::Notes;
use super::service::Service;
use super::tree::{Item, Span, Table};
use crate::config::duration::Shown;

const KEYS: [&str; 16] = [
    "host",
    "url_pattern",
    "method",
    "encoding",
    "disable_host_sanitize",
    "sd",
    "sd_scheme",
    "extra_config",
    "allow",
    "deny",
    "mapping",
    "group",
    "target",
    "is_collection",
    "input_headers",
    "input_query_strings",
];

/// What was found out about a backend before it is written.
#[derive(Debug)]
pub(super) struct Backend<'n> {
    /// Its keys.
    pub table: Table<'n>,
    /// It gets messages by something else than HTTP.
    pub is_not_http: bool,
    /// So many of its components change requests, or what is a success.
    pub changes: usize,
    /// It is told beside the others, and its answer ignored.
    shadow: Option<Found<Option<Duration>>>,
}

/// The backend that `item` is, with a warning for each part that has no equal.
pub(super) fn read<'n>(item: &Item<'n>, notes: &mut Notes<'_>) -> Option<Backend<'n>> {
    let table = item.table(notes)?;
    table.unknown(&KEYS, notes);
    let mut backend = Backend { table, is_not_http: false, changes: 0, shadow: None };
    for item in backend.table.items() {
        if let Some(foreign) = foreign::of_backend_key(item.name) {
            notes.no_equal(&item, foreign.problem, foreign.remedy);
        }
    }
    encoding(&backend.table, notes);
    let extra = backend.table.get("extra_config").and_then(|extra| extra.table(notes));
    for item in extra.iter().flat_map(Table::items) {
        if canonical(item.name) == "proxy" {
            backend.shadow = shadow(&item, notes).or(backend.shadow);
            continue;
        }
        let foreign = foreign::of_backend(item.name);
        notes.no_equal(&item, foreign.problem, foreign.remedy);
        backend.changes += usize::from(foreign.effect == Effect::Changes);
        backend.is_not_http |= foreign.effect == Effect::NotHttp;
    }
    let sd = backend.table.get("sd");
    let name = sd.as_ref().and_then(|item| item.text(notes)).unwrap_or_default();
    if let Some(item) = sd.filter(|_| !matches!(name, "" | "static")) {
        let problem = "SRV records are not looked up here";
        notes.no_equal(
            &item,
            problem,
            "write each service's name and port into `host` of the backend",
        );
        backend.changes += 1;
    }
    Some(backend)
}

fn encoding(table: &Table<'_>, notes: &mut Notes<'_>) {
    let Some(item) = table.get("encoding") else { return };
    match item.text(notes).map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "json") => {}
        Some("no-op") => notes.no_equal(
            &item,
            "with it KrakenD acks whatever the status is; here what fails is tried again",
            "nothing to do, or write `status = { success = [\"3xx\", \"4xx\", \"5xx\"] }` into [[backend]] to keep that",
        ),
        Some(_) => {
            let problem = "a reply's body is not looked at: its status decides";
            notes.no_equal(&item, problem, "nothing to do");
        }
    }
}

/// Whether a backend is told beside the others, by `proxy` of its `extra_config`.
fn shadow(item: &Item<'_>, notes: &mut Notes<'_>) -> Option<Found<Option<Duration>>> {
    let proxy = item.table(notes)?;
    for item in proxy.items() {
        if !matches!(item.name, "shadow" | "shadow_timeout") {
            let problem = "a reply's body is not looked at: its status decides";
            notes.no_equal(&item, problem, "nothing to do");
        }
    }
    let flag = proxy.get("shadow")?;
    let value = proxy.get("shadow_timeout").and_then(|item| item.period(notes));
    flag.flag(notes)?.then_some(Found { value, origin: Some(flag.place) })
}

/// How long an attempt at one of `backends` may take, of the time that KrakenD has for all.
pub(super) fn timeout(
    pipe: &Found<Duration>,
    backends: &[Backend<'_>],
    comment: &str,
    draft: &mut Draft,
) {
    let deciding = backends.iter().filter(|backend| backend.shadow.is_none()).count();
    if deciding < 2 {
        let shown = quoted(&Shown(pipe.value).to_string());
        return draft.key("timeout", &shown, pipe.origin.as_ref(), comment);
    }
    // lura's `NewMergeDataMiddleware`.
    let share = pipe.value * 85 / 100;
    let share = Duration::from_millis(u64::try_from(share.as_millis()).unwrap_or(u64::MAX));
    let comment = format!("85 % of {}: what KrakenD leaves several backends", Shown(pipe.value));
    draft.key("timeout", &quoted(&Shown(share).to_string()), pipe.origin.as_ref(), &comment);
}

/// `[dispatch]` and each `[[backend]]`.
pub(super) fn write(
    backends: &[Backend<'_>],
    is_sequential: bool,
    service: &Service<'_>,
    draft: &mut Draft,
    notes: &mut Notes<'_>,
) {
    if is_sequential && backends.len() > 1 {
        draft.table("[dispatch]", &draft.origin.clone());
        draft.key("mode", "\"sequential\"", None, "");
    }
    for backend in backends {
        let table = &backend.table;
        draft.table("[[backend]]", &table.span);
        hosts(table, service, draft, notes);
        path(table, draft, notes);
        method(table, draft, notes);
        if let Some(shadow) = &backend.shadow {
            let place = shadow.origin.as_ref();
            draft.key("required", "false", place, "KrakenD's `shadow`");
            if let Some(timeout) = shadow.value {
                draft.key("timeout", &quoted(&Shown(timeout).to_string()), place, "");
            }
        }
    }
}

fn hosts(table: &Table<'_>, service: &Service<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let item = table.get("host");
    let own = item.as_ref().map(|item| item.texts(notes)).unwrap_or_default();
    let raw = table.get("disable_host_sanitize").and_then(|item| item.flag(notes));
    let (hosts, comment): (Vec<(Span, String)>, _) = if own.is_empty() {
        let hosts = service.hosts.iter().map(|(span, host)| (span.clone(), cleaned(host)));
        (hosts.collect(), "from `host` at the top of KrakenD's file")
    } else {
        let host = |host: &str| if raw == Some(true) { host.to_owned() } else { cleaned(host) };
        (own.into_iter().map(|(span, text)| (span, host(text))).collect(), "")
    };
    if hosts.is_empty() {
        // What is missing is told by whoever checks the file.
        return;
    }
    for (span, host) in &hosts {
        let user = host.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':')) {
            draft.has_secret = true;
            notes.warning(
                span,
                format!(
                    "a host of `{}` has a password in it, so the agent's file may only be read by its owner and group",
                    table.path
                ),
                "write `${cred:NAME}` in its place, with LoadCredential= in the unit, or `${file:PATH}`; or `chgrp amqp-agentd` the file, for the daemon to read it",
            );
        }
    }
    let listed: Vec<String> = hosts.iter().map(|(_, host)| quoted(host)).collect();
    let place = item.map(|item| item.place);
    draft.key("host", &format!("[{}]", listed.join(", ")), place.as_ref(), comment);
}

/// A host as lura's `SafeCleanHost` makes it, as far as it takes it.
fn cleaned(host: &str) -> String {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| host.starts_with(scheme));
    let rest = host.strip_prefix(scheme.unwrap_or_default()).unwrap_or(host);
    format!("{}{}", scheme.unwrap_or("http://"), rest.strip_suffix('/').unwrap_or(rest))
}

fn path(table: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let item = table.get("url_pattern");
    let stated = item.as_ref().and_then(|item| item.text(notes)).unwrap_or_default();
    let mut path = stated.to_owned();
    if path.contains(['{', '}']) {
        let place = item.as_ref().map_or(table.span.clone(), |item| item.node.span.clone());
        let problem = format!(
            "`{}.url_pattern` has a placeholder, and an agent has no parameters: KrakenD sends it as it stands",
            table.path
        );
        notes.warning(&place, problem, "write the path that is meant");
        path = path.replace('{', "%7B").replace('}', "%7D");
    }
    if !path.starts_with('/') {
        if !path.is_empty() {
            let place = item.as_ref().map_or(table.span.clone(), |item| item.node.span.clone());
            let problem = format!(
                "`{}.url_pattern` does not start with `/`, and of an agent KrakenD puts it right after the port",
                table.path
            );
            notes.warning(&place, problem, "a `/` was put before it; see that this is the path");
        }
        path.insert(0, '/');
    }
    draft.key("url_pattern", &quoted(&path), item.map(|item| item.place).as_ref(), "");
}

fn method(table: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let item = table.get("method");
    let stated = item.as_ref().and_then(|item| item.text(notes)).filter(|text| !text.is_empty());
    let place = item.map(|item| item.place);
    let Some(method) = stated else {
        let comment = "KrakenD's default; here \"POST\", which is recommended";
        return draft.key("method", "\"GET\"", place.as_ref(), comment);
    };
    draft.key("method", &quoted(&method.to_uppercase()), place.as_ref(), "");
}
