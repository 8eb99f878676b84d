//! What the loader as a whole promises; the wording of each problem is in `tests/fixtures`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::{prop_assert, proptest};

use super::definition::{AgentDefinition, Argument, BackendDefinition, RetryStrategy};
use super::{Environment, Loaded, Paths, Trusting, load, load_agent_text, suggest};
use crate::backoff::Strategy;
use crate::outcome::Meaning;

/// An environment without variables or credentials.
pub(crate) struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

/// A valid agent file with `amqp_keys` among its keys.
pub(crate) fn agent_text(amqp_keys: &str) -> String {
    format!(
        "[\"async/amqp\"]\nhost = \"amqp://localhost\"\nname = \"orders\"\n{amqp_keys}\n\
         [[backend]]\nhost = \"http://127.0.0.1:8080\"\nurl_pattern = \"/orders\"\n"
    )
}

fn fixture(path: &str) -> AgentDefinition {
    let path = Path::new("tests/fixtures").join(path);
    let text = fs::read_to_string(&path).unwrap();
    let (definition, problems) = load_agent_text(&path, &text, &Credentials);
    definition.unwrap_or_else(|| panic!("{problems:?}"))
}

/// An environment with the fixtures' credentials.
struct Credentials;

impl Environment for Credentials {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        Some("tests/fixtures/credentials".into())
    }
}

#[test]
fn dev_null_is_a_main_file_without_settings() {
    let agents = tempfile::tempdir().unwrap();
    fs::write(agents.path().join("orders.toml"), agent_text("")).unwrap();
    let (main, agents_dir) = (PathBuf::from("/dev/null"), agents.path().to_owned());
    let loaded = load(&Paths { main: Some(main), agents: Some(agents_dir) }, &NoEnvironment);
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.agents.len(), 1);
}

#[test]
fn a_rate_at_which_the_broker_takes_the_window_back_is_warned_about() {
    for (rate, prefetch_count, warned) in
        [("0.08", 100, true), ("0.09", 100, false), ("0.01", 12, false), ("0", 100, false)]
    {
        let text = agent_text(&format!("prefetch_count = {prefetch_count}"));
        let text = format!("{text}[consumer]\nmax_rate = {rate}\n");
        let (definition, problems) =
            load_agent_text(Path::new("orders.toml"), &text, &NoEnvironment);
        let of_rate = problems.iter().filter(|problem| problem.problem.contains("at this rate"));
        assert_eq!((definition.is_some(), of_rate.count()), (true, usize::from(warned)), "{rate}");
    }
}

#[test]
fn an_agent_of_few_words_gets_the_defaults() {
    let (definition, problems) =
        load_agent_text(Path::new("orders.toml"), &agent_text(""), &NoEnvironment);
    assert_eq!(problems, []);
    let definition = definition.unwrap();
    let source = &definition.source;
    assert_eq!(&*definition.name, "orders");
    assert_eq!(definition.workers, 10);
    assert_eq!(definition.timeout, Duration::from_secs(5));
    assert_eq!(definition.max_rate, None);
    assert_eq!(definition.reconnect.max_retries, None);
    assert_eq!(definition.reconnect.strategy, Strategy::ExponentialJitter);
    assert_eq!(definition.retry.in_place, 2);
    assert_eq!(definition.retry.delays, [5, 30, 120, 600].map(Duration::from_secs));
    assert_eq!(source.prefetch_count, 100);
    assert!(source.queue.durable && !source.queue.exclusive && !source.queue.auto_delete);
    assert_eq!((source.exchange.as_ref(), source.topics.len()), (None, 0));
    let broker = &source.brokers[0];
    assert_eq!(
        (broker.host.as_str(), broker.port, broker.vhost.as_str()),
        ("localhost", 5672, "/")
    );
    assert_eq!((broker.username.as_str(), broker.password.expose()), ("guest", "guest"));
    assert_eq!((broker.heartbeat_seconds, broker.tls.is_none()), (10, true));
    let backend = &definition.backends[0];
    assert_eq!((&*backend.name, backend.method.as_str()), ("127.0.0.1:8080", "POST"));
    assert_eq!(backend.timeout, Duration::from_secs(5));
    assert!(backend.required && backend.headers.is_empty());
}

#[test]
fn odd_values_come_through_whole() {
    let definition = fixture("valid/odd_but_fine.toml");
    let source = &definition.source;
    assert_eq!(source.queue.name, "${not} a $ reference");
    assert_eq!(source.topics, ["a", "b"]);
    let exchange = source.exchange.as_ref().unwrap();
    assert_eq!((exchange.exchange_type.as_str(), exchange.durable), ("topic", true));
    let [first, second] = source.brokers.as_slice() else { panic!("two brokers") };
    assert_eq!((first.vhost.as_str(), first.heartbeat_seconds), ("/odd \u{fc}", 30));
    assert_eq!(first.password.expose(), "hunter2");
    let tls = first.tls.as_ref().unwrap();
    assert_eq!(tls.server_name.as_deref(), Some("rabbit"));
    assert!(tls.ca.is_some() && tls.identity.is_some());
    assert_eq!((second.host.as_str(), second.port, second.tls.is_none()), ("::1", 5673, true));
    let [first, second] = source.management.as_slice() else { panic!("two addresses") };
    assert_eq!(
        (first.url.as_str(), first.password.expose()),
        ("https://rabbit-1:15671/", "hunter2")
    );
    assert!(first.tls.ca.is_some() && first.tls.identity.is_some());
    assert_eq!((second.url.as_str(), second.tls.ca.is_none()), ("http://rabbit-2:15672/m/", true));
    let [one, two] = definition.backends.as_slice() else { panic!("two backends") };
    let urls: Vec<&str> = one.urls.iter().map(url::Url::as_str).collect();
    assert_eq!(urls, ["http://h:8080/base/orders?x=1", "http://h2/orders?x=1"]);
    assert_eq!(one.method, "PUT");
    assert_eq!(header(one, "x-token"), Some("hunter2"));
    assert_eq!(one.status.meaning(409), Meaning::Success, "a code wins over a class");
    assert_eq!(one.status.meaning(422), Meaning::Retry);
    assert_eq!(two.urls[0].as_str(), "https://h:8443/");
    assert_eq!(header(two, "authorization"), Some("Basic dTpwOnE="));
    assert!(!format!("{definition:?}").contains("hunter2"), "debug output shows a secret");
}

fn header<'b>(backend: &'b BackendDefinition, name: &str) -> Option<&'b str> {
    let header = backend.headers.iter().find(|(known, _)| known == name);
    header.map(|(_, value)| value.expose())
}

#[test]
fn agents_inherit_key_by_key() {
    let main = PathBuf::from("tests/fixtures/directories/defaults/amqp-agentd.toml");
    let loaded = load(&Paths { main: Some(main), agents: None }, &Credentials);
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.settings.threads, std::num::NonZeroUsize::new(2));
    let [inherits, overrides] = loaded.agents.as_slice() else { panic!("{:?}", loaded.agents) };
    let arguments = |agent: &AgentDefinition| {
        agent.source.queue.arguments.clone().into_iter().collect::<Vec<_>>()
    };
    let argument = |name: &str, value| (name.to_owned(), Argument::Integer(value));
    assert_eq!(arguments(inherits), [argument("x-expires", 7), argument("x-max-length", 5)]);
    assert_eq!(arguments(overrides), [argument("x-expires", 6), argument("x-max-length", 8)]);
    assert_eq!((inherits.workers, inherits.source.topics.as_slice()), (3, &["#".to_owned()][..]));
    assert_eq!(overrides.source.topics, ["x"]);
    let [one, two] = inherits.backends.as_slice() else { panic!("two backends") };
    assert_eq!((header(one, "x-token"), header(one, "x-b")), (Some("hunter2"), Some("own")));
    assert_eq!(header(two, "x-b"), Some("default"));
    assert_eq!(one.status.meaning(404), Meaning::DeadLetter, "the agent's own word wins");
    assert_eq!(two.status.meaning(404), Meaning::Retry);
    assert_eq!(two.timeout, Duration::from_secs(2));
    assert_eq!((&*one.name, &*two.name), ("h", "h#2"), "two names for one host");
    assert!(overrides.source.brokers[0].tls.is_none(), "inherited TLS is for those who use it");
}

#[test]
fn what_an_agent_says_of_its_copies_wins_over_what_it_inherits() {
    let main = PathBuf::from("tests/fixtures/directories/inherited_copies/amqp-agentd.toml");
    let loaded = load(&Paths { main: Some(main), agents: None }, &NoEnvironment);
    let copies = |name: &str| {
        let agent = loaded.agents.iter().find(|agent| &*agent.name == name).unwrap();
        let dead_letter = agent.dead_letter.as_ref();
        let target =
            dead_letter.map(|target| (target.exchange.as_str(), target.routing_key.as_deref()));
        (agent.retry.strategy, target)
    };
    let inherited = Some(("", Some("dead")));
    assert_eq!(copies("10-fine"), (RetryStrategy::Native, inherited));
    let own = Some(("", Some("stream-dead")));
    assert_eq!(copies("30-stream"), (RetryStrategy::InPlace, own), "a stream has no other");
    assert_eq!(copies("40-discard"), (RetryStrategy::Requeue, None));
    assert_eq!(copies("60-exchange-wins"), (RetryStrategy::Native, Some(("own", None))));
}

/// The problems of a directory with `files`, without the directory's name.
fn problems_of(files: impl Fn(&Path)) -> (Loaded, String) {
    let directory = tempfile::tempdir().unwrap();
    let agents = directory.path().join("agents");
    fs::create_dir(&agents).unwrap();
    files(&agents);
    let main = directory.path().join("main.toml");
    fs::write(&main, "").unwrap();
    let paths = Paths { main: Some(main), agents: Some(agents.clone()) };
    let loaded = load(&paths, &NoEnvironment);
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let shown = lines.join("\n").replace(&format!("{}/", agents.display()), "");
    (loaded, shown)
}

#[test]
fn whatever_lies_in_the_directory_is_an_error_with_a_remedy_or_passed_over() {
    let (loaded, shown) = problems_of(|directory| {
        fs::create_dir(directory.join("directory.toml")).unwrap();
        fs::write(directory.join("latin1.toml"), b"# ok\nname = \"\xfc\"\n").unwrap();
        fs::write(directory.join("long.toml"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
        std::os::unix::fs::symlink("nowhere", directory.join("dangling.toml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", directory.join("endless.toml")).unwrap();
        fs::write(directory.join("fine.toml"), format!("\u{feff}{}", agent_text(""))).unwrap();
        for leftover in [".hidden.toml", "a.toml~", "a.toml.bak", ".a.toml.swp", "a.toml.dpkg-new"]
        {
            fs::write(directory.join(leftover), "nonsense").unwrap();
        }
    });
    let expected = "\
dangling.toml:1:1: the file does not exist; create it, or mend the link that leads to it
directory.toml:1:1: the file is not a regular file; put a file there, or give it a name that does not end in .toml
endless.toml:1:1: the file is not a regular file; put a file there, or give it a name that does not end in .toml
latin1.toml:2:9: the file is not UTF-8; save it as UTF-8
long.toml:1:1: the file is longer than 1048576 bytes; split it: one agent a file";
    assert_eq!(shown, expected);
    assert_eq!(loaded.agents.len(), 1, "a broken file hides no other agent");
    assert_eq!(loaded.broken.len(), 5);
    assert!(!loaded.main_file_is_broken);
}

#[test]
fn a_file_without_end_of_problems_is_cut_short() {
    let (loaded, _) = problems_of(|directory| {
        let keys: String = (0..2000).fold(String::new(), |keys, key| format!("{keys}x{key} = 1\n"));
        fs::write(directory.join("keys.toml"), keys).unwrap();
    });
    assert!((90..=110).contains(&loaded.problems.len()), "{}", loaded.problems.len());
    assert_eq!(loaded.broken.len(), 1);
}

/// Files of 100 kB, on which anything that grows with the square of the size would not come to an end.
#[test]
fn a_file_of_nonsense_gives_a_short_list_of_problems() {
    let repeated = |text: &str| text.repeat(100_000 / text.len());
    let numbered = |text: fn(usize) -> String| (0..5_000).map(text).collect::<String>();
    for text in [
        repeated("= [\n"),
        repeated("[[x\n"),
        repeated("\"\n"),
        numbered(|number| format!("x{number} = \"${{env:X}}\"\n")),
        numbered(|number| format!("[x{number}.y]\n")),
        format!("[consumer]\ntopic = [{}]", numbered(|number| format!("\"{number}\","))),
        format!("[consumer]\ntopic = [{}]", repeated("1,")),
        format!("[\"async/amqp\"]\nhost = [{}]", repeated("\"\",")),
        format!("[[backend]]\nstatus = {{ retry = [{}] }}", repeated("404,")),
        repeated("[[backend]]\n"),
    ] {
        let (_, problems) = load_agent_text(Path::new("a.toml"), &text, &NoEnvironment);
        let start: String = text.chars().take(20).collect();
        assert!((1..=110).contains(&problems.len()), "{start}: {}", problems.len());
    }
}

#[test]
fn what_was_named_has_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("there.toml");
    fs::write(&there, "").unwrap();
    let agents = directory.path().join("agents");
    fs::create_dir(&agents).unwrap();
    fs::write(agents.join("orders.toml"), agent_text("")).unwrap();
    let missing = directory.path().join("missing");
    let errors = |main: Option<&Path>, agents: Option<&Path>| {
        let paths = Paths { main: main.map(Path::to_owned), agents: agents.map(Path::to_owned) };
        let loaded = load(&paths, &NoEnvironment);
        assert_eq!(loaded.has_errors(), loaded.main_file_is_broken);
        (loaded.has_errors(), loaded.problems.len())
    };
    assert_eq!(errors(Some(&there), None), (false, 1), "no agents.d beside it: a warning");
    assert_eq!(errors(Some(&there), Some(&agents)), (false, 0));
    assert_eq!(errors(Some(&missing), None), (true, 2));
    assert_eq!(errors(Some(&there), Some(&missing)), (true, 1));
    assert_eq!(errors(Some(&there), Some(&there)), (true, 1), "a file is no directory");
}

#[test]
fn only_who_checks_trusts_unseen_credentials() {
    let text = "host = \"amqp://u:${cred:missing}@h\"";
    let text = agent_text("").replace("host = \"amqp://localhost\"", text);
    let path = Path::new("orders.toml");
    let (definition, problems) = load_agent_text(path, &text, &NoEnvironment);
    assert!(definition.is_none() && problems.len() == 1, "{problems:?}");
    assert_eq!(load_agent_text(path, &text, &Trusting(&NoEnvironment)).1, []);
    let (_, problems) = load_agent_text(path, &text, &Trusting(&Credentials));
    assert_eq!(problems.len(), 1, "a directory that can be seen lacks it: {problems:?}");
}

#[test]
fn the_example_names_every_key() {
    let text = fs::read_to_string("agents.d/every-key.toml").unwrap();
    let tables = suggest::tables();
    let of_agents = tables.iter().filter(|(table, _)| !table.contains("main file"));
    for (table, keys) in of_agents {
        for key in *keys {
            assert!(text.contains(key), "{key}, {table}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(\\[?\\[(\"async/amqp\"|backend|consumer|retry|dead_letter)\\]?\\]\n|(host|name|topic|delays|headers|tls|status|timeout|strategy|queue|exchange|management) ?= ?(\"[^\n]{0,8}\"|[0-9.]{1,3}|\\[.{0,5}\\]|\\{.{0,9}\\}|.{0,5})\n){0,9}") {
        let (_, problems) = load_agent_text(Path::new("a.toml"), &text, &NoEnvironment);
        for problem in problems {
            let place = problem.place.as_ref().expect("a problem of a file has a place");
            prop_assert!(place.line <= text.matches('\n').count() + 1, "{}", problem);
        }
    }
}
