//! Events as entries of systemd's journal: a line that says it all, and each field by itself too.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FormatFields as _;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::{Context, Layer};

const SOCKET: &str = "/run/systemd/journal/socket";
/// An entry has to fit into one datagram, with some twenty fields; longer values are cut.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// A journal that hangs costs lines of the log, and must not hold up messages for ever.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);
/// The journal's own fields have names like ours (`MESSAGE_ID` is what `journalctl -x` explains an
/// entry by), and a publisher chooses the values.
const PREFIX: &str = "AMQP_";

pub(super) struct Journal {
    sender: UnixDatagram,
    receiver: PathBuf,
}

impl Journal {
    /// # Errors
    /// When nobody listens.
    pub(super) fn open() -> io::Result<Self> {
        Self::to(Path::new(SOCKET))
    }

    fn to(receiver: &Path) -> io::Result<Self> {
        let journal = Self { sender: UnixDatagram::unbound()?, receiver: receiver.to_owned() };
        journal.sender.set_write_timeout(Some(SEND_TIMEOUT))?;
        // The journal passes over an empty entry.
        journal.sender.send_to(&[], &journal.receiver)?;
        Ok(journal)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Nobody is left to tell when the journal does not take it.
        self.sender.send_to(&entry(event).0, &self.receiver).ok();
    }
}

fn entry(event: &Event<'_>) -> Entry {
    let metadata = event.metadata();
    let mut line = String::new();
    DefaultFields::new().format_fields(Writer::new(&mut line), event).ok();

    let mut entry = Entry(Vec::with_capacity(1024));
    entry.put("MESSAGE", &line);
    entry.put("PRIORITY", priority(*metadata.level()));
    entry.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
    entry.put("CODE_FILE", metadata.file().unwrap_or_default());
    entry.put("CODE_LINE", &metadata.line().unwrap_or_default().to_string());
    entry.put(&name("target"), metadata.target());
    event.record(&mut entry);
    entry
}

/// As in syslog. What we call info is not "notice", which stands out in `journalctl`.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

fn name(field: &str) -> String {
    let legal = |character: char| match character {
        'a'..='z' | '0'..='9' => character.to_ascii_uppercase(),
        _ => '_',
    };
    PREFIX.chars().chain(field.chars().map(legal)).collect()
}

/// In the journal's native protocol: name, line feed, length in 64 bits, value, line feed.
struct Entry(Vec<u8>);

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(VALUE_BYTES_MAX)];
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" {
            self.put(&name(field.name()), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What the journal receives while `log` runs, by the rules of its protocol.
    fn entries(log: impl FnOnce()) -> Vec<BTreeMap<String, String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::to(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), log);

        receiver.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1024 * 1024];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 0, "asks whether somebody listens");
        let mut entries = Vec::new();
        while let Ok(length) = receiver.recv(&mut buffer) {
            let mut rest = &buffer[..length];
            let mut fields = BTreeMap::new();
            while !rest.is_empty() {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
                let name = String::from_utf8(rest[..end].to_vec()).unwrap();
                let (length, value) = rest[end + 1..].split_first_chunk().unwrap();
                let (value, after) =
                    value.split_at(u64::from_le_bytes(*length).try_into().unwrap());
                fields.insert(name, String::from_utf8(value.to_vec()).unwrap());
                rest = after.strip_prefix(b"\n").unwrap();
            }
            entries.push(fields);
        }
        entries
    }

    #[test]
    fn an_entry_can_be_read_by_people_and_searched_by_field() {
        let entries = entries(|| {
            let (message_id, backend) = ("39f53479d3a045ac8e11786248231fbf", "127.0.0.1:8080");
            tracing::warn!(agent = "orders", message_id, %backend, status = 422, "not delivered: {}", 422);
        });
        let entry = &entries[0];
        assert_eq!(
            entry["MESSAGE"],
            "not delivered: 422 agent=\"orders\" message_id=\"39f53479d3a045ac8e11786248231fbf\" backend=127.0.0.1:8080 status=422"
        );
        assert_eq!(entry["AMQP_AGENT"], "orders");
        assert_eq!(entry["AMQP_MESSAGE_ID"], "39f53479d3a045ac8e11786248231fbf");
        assert_eq!(entry["AMQP_BACKEND"], "127.0.0.1:8080");
        assert_eq!(entry["AMQP_STATUS"], "422");
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "amqp-agentd");
        assert!(!entry.contains_key("MESSAGE_ID"), "that name is the journal's");
    }

    #[test]
    fn levels_become_priorities() {
        let entries = entries(|| {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!("c");
            tracing::debug!("d");
            tracing::trace!("e");
        });
        let priorities = entries.iter().map(|entry| entry["PRIORITY"].as_str());
        assert_eq!(priorities.collect::<String>(), "34677");
    }

    #[test]
    fn a_value_cannot_make_fields_of_its_own_nor_keep_the_entry_from_being_sent() {
        let entries = entries(|| {
            let (key, long) = ("order\nPRIORITY=0", "ö".repeat(300_000));
            tracing::info!(routing_key = key, r#type = long, again = long, "a\nb");
        });
        assert_eq!(entries[0]["AMQP_ROUTING_KEY"], "order\nPRIORITY=0");
        assert_eq!(entries[0]["PRIORITY"], "6");
        assert_eq!(entries[0]["AMQP_TYPE"].len(), VALUE_BYTES_MAX);
        assert!(entries[0]["MESSAGE"].starts_with("a\nb routing_key=\"order\\nPRIORITY=0\""));
    }

    #[test]
    fn a_journal_that_hangs_does_not_hold_up_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _never_read = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::to(&path).unwrap();
        journal.sender.set_nonblocking(true).unwrap();
        while journal.sender.send_to(&[0; 1024], &path).is_ok() {}
        journal.sender.set_nonblocking(false).unwrap();

        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, || tracing::info!("goes on after this"));
    }
}
