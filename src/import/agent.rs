//! One entry of `async_agent` as an agent file.

use super::backend::{self, Backend};
use super::connection::reconnect;
use super::consumer::{rate, take, timeout, workers};
use super::draft::{Draft, Found, quoted};
use super::foreign::{self, Effect, canonical};
use super::name;
use super::notes::Notes;
use super::service::Service;
use super::source::source;
use super::tree::{Item, Table};
use crate::config::quoted as shown;

const KEYS: [&str; 6] = ["name", "connection", "consumer", "backend", "encoding", "extra_config"];

/// The agent that `item` is, the one with this `index`; `None` where it is skipped, which `notes`
/// says. `taken` are the names of those before it.
pub(super) fn agent(
    item: &Item<'_>,
    index: usize,
    service: &Service<'_>,
    taken: &[&str],
    notes: &mut Notes<'_>,
) -> Option<Draft> {
    let table = item.table(notes)?;
    table.unknown(&KEYS, notes);
    let extra = table.get("extra_config").and_then(|extra| extra.table(notes));
    let driver = driver(item, extra.as_ref(), notes)?;
    let (is_sequential, mut changes) = components(extra.as_ref(), notes);
    let backends = backends(item, &table, &mut changes, notes)?;
    if let Some(encoding) = table.get("encoding") {
        notes.no_equal(&encoding, "KrakenD itself never reads it", "nothing to do");
    }
    let mut draft = Draft::new(named(item, &table, index, taken, notes), item.place.clone());
    draft.comment(&format!("`{}` of a KrakenD configuration, by `amqp-agentd import`.", item.path));
    draft.comment("");
    draft.comment("A comment stands where the value is KrakenD's and the default here is another. Not as there,");
    draft.comment("on purpose: any 2xx is a success, a message that fails waits before it is tried again, and what");
    draft.comment(
        "is refused becomes a dead letter. See \"Differences from KrakenD\" in the README.",
    );
    let nothing = Table::empty(&item.place);
    let consumer = table.get("consumer").and_then(|consumer| consumer.table(notes));
    let consumer = consumer.unwrap_or(nothing.clone());
    consumer.unknown(&["topic", "workers", "timeout", "max_rate"], notes);
    let workers = workers(&consumer, notes);
    let amqp = driver.table(notes)?;
    let source = source(&amqp, workers.value, &mut draft, notes);
    let (pipe, comment) = match (timeout(&consumer, notes), &service.timeout) {
        (Some(timeout), _) => (timeout, ""),
        (None, Found { origin: None, .. }) => {
            (service.timeout.clone(), "KrakenD's default; here 5s")
        }
        (None, Found { origin: Some(_), .. }) => {
            (service.timeout.clone(), "from `timeout` at the top of KrakenD's file")
        }
    };
    take(&consumer, source.has_exchange, &workers, &mut draft, notes);
    backend::timeout(&pipe, &backends, comment, &mut draft);
    rate(&consumer, &mut draft, notes);
    let connection = table.get("connection").and_then(|item| item.table(notes));
    reconnect(&connection.unwrap_or(nothing), &mut draft, notes);
    if source.is_requeued {
        draft.table("[retry]", &driver.place);
        draft.comment("KrakenD's way: a message that failed goes back to its queue. Recommended: remove this table.");
        draft.comment(
            "Then it waits in a delay queue of ours, others pass it, and its attempts are counted.",
        );
        draft.key("strategy", &quoted("requeue"), None, "");
    }
    backend::write(&backends, is_sequential, service, &mut draft, notes);
    if changes > 0 {
        let problem = format!(
            "`{}` is written with `enabled = false`: {changes} of its components that change requests, or what is a success, are left out",
            item.path
        );
        notes.warning(&item.place, problem, "look at the warnings about them, then switch it on");
        draft.switch_off();
    }
    Some(draft)
}

/// The AMQP driver; without one the agent is skipped.
fn driver<'n>(
    item: &Item<'n>,
    extra: Option<&Table<'n>>,
    notes: &mut Notes<'_>,
) -> Option<Item<'n>> {
    let drivers = extra.into_iter().flat_map(Table::items);
    let drivers: Vec<_> = drivers.filter(|one| canonical(one.name).starts_with("async/")).collect();
    let mut amqp = drivers.iter().filter(|one| canonical(one.name) == "async/amqp");
    // Where both names are there, KrakenD puts what the short one says in the place of the other.
    let short = amqp.clone().find(|one| canonical(one.name) == one.name);
    if let Some(amqp) = short.or_else(|| amqp.next()) {
        for other in drivers.iter().filter(|other| other.name != amqp.name) {
            let problem = format!("the agent's driver here is `{}`", amqp.path);
            let remedy = "see that nothing comes by it, or write an agent of its own for it";
            notes.no_equal(other, &problem, remedy);
        }
        return Some(amqp.clone());
    }
    let (place, problem, remedy) = match drivers.first() {
        Some(other) => (
            &other.place,
            format!(
                "`{}` is skipped: its driver is `{}`, and only RabbitMQ is consumed here",
                item.path,
                other.name.escape_debug()
            ),
            "keep this agent in KrakenD, or let something bring its messages to RabbitMQ",
        ),
        None => (
            &item.place,
            format!(
                "`{}` is skipped: it has no driver in `extra_config`, so KrakenD does not start it either",
                item.path
            ),
            "add `async/amqp` there if it should run",
        ),
    };
    notes.warning(place, problem, remedy);
    None
}

/// Whether backends are told in sequence, and how many components that matter have no equal.
fn components(extra: Option<&Table<'_>>, notes: &mut Notes<'_>) -> (bool, usize) {
    let (mut is_sequential, mut changes) = (false, 0);
    for item in extra.into_iter().flat_map(Table::items) {
        match canonical(item.name) {
            name if name.starts_with("async/") => {}
            "proxy" => {
                let Some(proxy) = item.table(notes) else { continue };
                let sequential = proxy.get("sequential").and_then(|item| item.flag(notes));
                is_sequential |= sequential == Some(true);
                for item in proxy.items().filter(|item| item.name != "sequential") {
                    let problem = "replies are not put together here: their statuses decide";
                    notes.no_equal(&item, problem, "nothing to do");
                }
            }
            _ => {
                let foreign = foreign::of_agent(item.name);
                notes.no_equal(&item, foreign.problem, foreign.remedy);
                changes += usize::from(foreign.effect == Effect::Changes);
            }
        }
    }
    (is_sequential, changes)
}

/// The backends; without one, or with one that speaks no HTTP, the agent is skipped.
fn backends<'n>(
    item: &Item<'_>,
    table: &Table<'n>,
    changes: &mut usize,
    notes: &mut Notes<'_>,
) -> Option<Vec<Backend<'n>>> {
    let list = table.get("backend");
    let items = list.as_ref().map(|list| list.list(notes)).unwrap_or_default();
    if items.is_empty() {
        let problem = format!(
            "`{}` is skipped: it has no backend, so KrakenD does not start it either",
            item.path
        );
        notes.warning(&item.place, problem, "add one to `backend` if it should run");
        return None;
    }
    let mut backends = Vec::new();
    for item in &items {
        backends.push(backend::read(item, notes)?);
    }
    *changes += backends.iter().map(|backend| backend.changes).sum::<usize>();
    if let Some(other) = backends.iter().find(|backend| backend.is_not_http) {
        let problem =
            format!("`{}` is skipped: `{}` is no HTTP service", item.path, other.table.path);
        notes.warning(
            &other.table.span,
            problem,
            "see the warning about it; a file without that backend would drop what it is for",
        );
        return None;
    }
    Some(backends)
}

/// A name that the agent can have here.
fn named(
    item: &Item<'_>,
    table: &Table<'_>,
    index: usize,
    taken: &[&str],
    notes: &mut Notes<'_>,
) -> String {
    let key = table.get("name");
    let stated = key.as_ref().and_then(|key| key.text(notes)).filter(|name| !name.is_empty());
    // As KrakenD calls it.
    let default = format!("AsyncAgent-{index:02}");
    let wanted = stated.unwrap_or(&default);
    let name = name::free(&name::legal(wanted).unwrap_or(default.clone()), taken);
    if name != wanted {
        let place = key.map_or(item.place.clone(), |key| key.node.span.clone());
        let problem = if taken.contains(&wanted) {
            format!("another agent is named {} already", shown(wanted))
        } else {
            format!("{} is no name that an agent can have here", shown(wanted))
        };
        notes.warning(
            &place,
            problem,
            format!("it is named `{name}`; rename the file if you like"),
        );
    }
    name
}
