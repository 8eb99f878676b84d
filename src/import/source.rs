//! `async/amqp`: where messages come from.

use super::draft::{Draft, quoted};
use super::notes::Notes;
use super::tree::{Item, Table};

const KEYS: [&str; 12] = [
    "host",
    "name",
    "exchange",
    "durable",
    "delete",
    "exclusive",
    "no_wait",
    "prefetch_count",
    "prefetch_size",
    "auto_ack",
    "no_local",
    "nack_discard",
];

/// The window where KrakenD has none: the default here.
const WINDOW: i64 = 100;

/// What the rest of an agent depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The queue is bound.
    pub has_exchange: bool,
    /// What fails goes back to the queue.
    pub is_requeued: bool,
}

/// `["async/amqp"]` in the draft of an agent with so many workers.
pub(super) fn source(
    amqp: &Table<'_>,
    workers: i64,
    draft: &mut Draft,
    notes: &mut Notes<'_>,
) -> Source {
    amqp.unknown(&KEYS, notes);
    draft.table("[\"async/amqp\"]", &amqp.span);
    if let Some(item) = amqp.get("host") {
        host(&item, draft, notes);
    }
    if let Some(item) = amqp.get("name") {
        draft.key("name", &quoted(item.text(notes).unwrap_or_default()), Some(&item.place), "");
    }
    let has_exchange = exchange(amqp, draft, notes);
    durable(amqp, draft, notes);
    let set = |key: &str, notes: &mut Notes<'_>| {
        amqp.get(key).filter(|item| item.flag(notes) == Some(true))
    };
    if let Some(item) = set("delete", notes) {
        draft.key(
            "delete",
            "true",
            Some(&item.place),
            "Recommended: false, or the queue goes with its last consumer",
        );
    }
    if let Some(item) = set("exclusive", notes) {
        draft.key("exclusive", "true", Some(&item.place), "");
        notes.warning(
            &item.place,
            format!("`{}` has KrakenD declare the exchange `internal`; here it is not, and the broker refuses to declare it otherwise (406)", item.path),
            "delete the exchange before this agent starts",
        );
    }
    window(amqp, workers, draft, notes);
    let auto_ack = set("auto_ack", notes);
    if let Some(item) = &auto_ack {
        draft.key("auto_ack", "true", Some(&item.place), "Recommended: remove it");
    }
    let discard = set("nack_discard", notes);
    if let Some(item) = &discard {
        let comment = "Recommended: remove it, and what fails is tried again, then a dead letter";
        draft.key("nack_discard", "true", Some(&item.place), comment);
    }
    for key in ["no_wait", "no_local"] {
        if let Some(item) = set(key, notes) {
            let problem = if key == "no_wait" {
                "what the broker refuses would go unheard"
            } else {
                "RabbitMQ takes no heed of it"
            };
            notes.no_equal(&item, problem, "nothing to do");
        }
    }
    Source { has_exchange, is_requeued: auto_ack.is_none() && discard.is_none() }
}

fn host(item: &Item<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let uri = item.text(notes).unwrap_or_default();
    draft.key("host", &quoted(uri), Some(&item.place), "");
    let (base, query) = uri.split_once('?').unwrap_or((uri, ""));
    let user = base.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let password = user.and_then(|(user, _)| user.split_once(':')).map(|(_, word)| word);
    if password.is_some_and(|password| !matches!(password, "" | "guest")) {
        draft.has_secret = true;
        notes.warning(
            &item.node.span,
            format!("`{}` has a password in it, so the agent's file may only be read by its owner and group", item.path),
            "write `${cred:NAME}` in its place, with LoadCredential= in the unit, or `${file:PATH}`; or `chgrp amqp-agentd` the file, for the daemon to read it",
        );
    }
    if uri.contains("${") {
        notes.warning(
            &item.node.span,
            format!("`{}` has `${{` in it, which is taken as it stands", item.path),
            "let envsubst fill it in before the import, or write `${env:NAME}` into the agent's file",
        );
    }
    // The files are the daemon's, and may not be there where the import runs.
    let of_the_machine = |pair: &&str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        matches!(key, "cacertfile" | "certfile" | "keyfile")
            || (key == "auth_mechanism" && value.eq_ignore_ascii_case("external"))
    };
    if query.split('&').any(|pair| of_the_machine(&pair)) {
        let rest: Vec<&str> = query.split('&').filter(|pair| !of_the_machine(pair)).collect();
        draft.check_instead("host", &quoted(&format!("{base}?{}", rest.join("&"))));
        notes.warning(
            &item.node.span,
            format!("`{}` names certificate files, which are not looked at here", item.path),
            "let the daemon's user read them; a relative path is relative to the agent's file",
        );
    }
}

fn exchange(amqp: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) -> bool {
    let item = amqp.get("exchange");
    let name = item.as_ref().and_then(|item| item.text(notes)).unwrap_or_default();
    if name.is_empty() {
        notes.warning(
            &item.map_or(amqp.span.clone(), |item| item.place),
            format!("`{}` names no exchange, and KrakenD is refused without one (403)", amqp.path),
            "name it if the queue has to be bound; here a queue needs none",
        );
        return false;
    }
    draft.key("exchange", &quoted(name), item.map(|item| item.place).as_ref(), "");
    true
}

fn durable(amqp: &Table<'_>, draft: &mut Draft, notes: &mut Notes<'_>) {
    let item = amqp.get("durable");
    let stated = item.as_ref().and_then(|item| item.flag(notes));
    let place = item.map(|item| item.place);
    let comment = match stated {
        Some(true) => "",
        Some(false) => "Recommended: true, or a restart of the broker loses the queue",
        None => "KrakenD's default; here true, which is recommended",
    };
    draft.key("durable", &stated.unwrap_or(false).to_string(), place.as_ref(), comment);
    if stated != Some(true) {
        notes.warning(
            &place.unwrap_or(amqp.span.clone()),
            format!("`{}` is not durable: a restart of the broker loses the queue and what is in it", amqp.path),
            "set `durable = true` in the agent's file, and delete queue and exchange before it starts: they cannot be changed (406)",
        );
    }
}

fn window(amqp: &Table<'_>, workers: i64, draft: &mut Draft, notes: &mut Notes<'_>) {
    let item = amqp.get("prefetch_count");
    let stated = item.as_ref().and_then(|item| item.whole(notes)).filter(|count| *count != 0);
    let place = item.map(|item| item.place);
    let Some(count) = stated else {
        let count = workers.saturating_mul(2).clamp(WINDOW, 65_535);
        let comment = "in KrakenD unlimited: the whole queue in memory";
        draft.key("prefetch_count", &count.to_string(), place.as_ref(), comment);
        return size(amqp, notes);
    };
    draft.key("prefetch_count", &count.to_string(), place.as_ref(), "");
    size(amqp, notes);
}

fn size(amqp: &Table<'_>, notes: &mut Notes<'_>) {
    let item = amqp.get("prefetch_size");
    if let Some(item) = item.filter(|item| item.whole(notes).is_some_and(|size| size != 0)) {
        let problem = "RabbitMQ closes the connection over it (540), so this agent never worked";
        notes.no_equal(&item, problem, "nothing to do; `prefetch_count` is the limit");
    }
}
