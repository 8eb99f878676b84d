//! KrakenD's async agents, taken over: what `import` writes is checked, run, and forwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Backend, Daemon, Message, Publisher, Reply, Vhost, on_every_release};

fn agentd(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqp-agentd"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// KrakenD's configuration with so many agents, `orders` first.
fn krakend(broker: &str, backend: &str, names: &[&str]) -> Value {
    let agent = |name: &&str| {
        json!({
            "name": name,
            "connection": { "max_retries": 10, "backoff_strategy": "exponential-jitter", "health_interval": "10s" },
            "consumer": { "topic": format!("{name}.*"), "workers": 2, "timeout": "10s" },
            "backend": [{ "host": [backend], "url_pattern": format!("/{name}"), "method": "POST" }],
            "extra_config": { "async/amqp": {
                "host": broker, "name": name, "exchange": "shop", "durable": true,
                "no_wait": true, "prefetch_count": 5, "no_local": true
            } },
        })
    };
    json!({ "version": 3, "async_agent": names.iter().map(agent).collect::<Vec<_>>() })
}

/// A directory with that as `krakend.json`.
fn written(config: &Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("krakend.json"), config.to_string()).unwrap();
    dir
}

/// Imports `config` into the daemon's own directory.
fn imported(config: &Value, daemon: &Daemon) {
    let dir = written(config);
    let out = daemon.agents_dir();
    let out = out.to_str().unwrap();
    let (code, told, said) = agentd(dir.path(), &["import", "krakend.json", "--out", out]);
    assert_eq!(code, 0, "{said}");
    assert!(told.contains("orders.toml") && told.contains("1 agent, "), "{told}");
    let (code, _, said) = agentd(dir.path(), &["check", "--agents", out]);
    assert_eq!((code, said.as_str()), (0, ""), "an imported file passes");
}

async fn running(config: &Value, vhost: &Vhost) -> (Daemon, Publisher) {
    let mut daemon = Daemon::new();
    imported(config, &daemon);
    daemon.start().await;
    daemon.wait_for_log(&[r#""consuming""#, "orders"]).await;
    (daemon, Publisher::connect(vhost).await)
}

#[tokio::test]
async fn an_imported_agent_takes_messages_and_hands_them_on() {
    on_every_release(|vhost| async move {
        let backend = Backend::start();
        let config = krakend(&vhost.url(), &backend.url(), &["orders"]);
        let (mut daemon, mut publisher) = running(&config, &vhost).await;
        publisher.publish(Message::through("shop", "orders.new", "one")).await;
        let request = backend.wait_for(1).await.remove(0);
        assert_eq!(
            (&*request.method, &*request.path, &*request.text()),
            ("POST", "/orders", "one")
        );
        publisher.wait_for_depth("orders", (0, 1)).await;
        daemon.stop().await;
    })
    .await;
}

/// As in KrakenD a message that failed goes back to its queue, where another consumer may take it.
#[tokio::test]
async fn what_fails_in_an_imported_agent_goes_back_to_its_queue() {
    on_every_release(|vhost| async move {
        let backend = Backend::replying(|request| {
            Reply::status(if request.header("x-amqp-redelivered") == Some("true") {
                204
            } else {
                500
            })
        });
        let config = krakend(&vhost.url(), &backend.url(), &["orders"]);
        let mut daemon = Daemon::new();
        imported(&config, &daemon);
        let file = daemon.agents_dir().join("orders.toml");
        let text = fs::read_to_string(&file).unwrap();
        let quick = "in_place = 0\ndelays = [\"100ms\"]\nstrategy = \"requeue\"";
        assert!(text.contains("strategy = \"requeue\""), "{text}");
        fs::write(&file, text.replace("strategy = \"requeue\"", quick)).unwrap();
        daemon.start().await;
        daemon.wait_for_log(&[r#""consuming""#, "orders"]).await;
        let mut publisher = Publisher::connect(&vhost).await;
        publisher.publish(Message::through("shop", "orders.new", "one")).await;
        backend.wait_for(2).await;
        publisher.wait_for_depth("orders", (0, 1)).await;
        assert!(vhost.queue("orders.retry.100ms").is_none(), "a delay queue was declared");
        daemon.stop().await;
    })
    .await;
}

#[test]
fn nothing_is_overwritten_unasked_and_all_files_are_written_or_none() {
    let dir = written(&krakend("amqp://shop:hunter2@rabbit/", "http://x", &["orders", "parcels"]));
    let import = |more: &[&str]| {
        agentd(dir.path(), &[&["import", "krakend.json", "--out", "new/agents.d"], more].concat())
    };
    let file = |name: &str| -> PathBuf { dir.path().join("new/agents.d").join(name) };
    fs::create_dir_all(file("")).unwrap();
    fs::write(file("parcels.toml"), "mine").unwrap();
    let (code, _, said) = import(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("nothing was written: new/agents.d/parcels.toml is there already"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(file("parcels.toml")).unwrap(), "mine");
    let left: Vec<_> =
        fs::read_dir(file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["parcels.toml"]);

    let (code, told, said) = import(&["--force"]);
    assert_eq!(code, 0, "{said}");
    assert!(told.contains("2 agents") && !told.contains("hunter2") && !said.contains("hunter2"));
    assert!(fs::read_to_string(file("parcels.toml")).unwrap().contains("hunter2"));
    let mode = fs::metadata(file("orders.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "others may read the password");
    assert_eq!(fs::read_dir(file("")).unwrap().count(), 2);
}

#[test]
fn without_a_directory_files_are_printed_and_programs_get_an_object() {
    let dir = written(&krakend("amqp://rabbit/", "http://x", &["orders"]));
    let (code, told, said) = agentd(dir.path(), &["import", "krakend.json"]);
    assert_eq!(code, 0, "{said}");
    assert!(told.starts_with("# orders.toml\n"), "{told}");
    assert!(said.ends_with("1 agent, 2 warnings; nothing was written, --out DIR does\n"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let (code, told, _) = agentd(dir.path(), &["import", "krakend.json", "--json", "--out", "."]);
    let object: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(code, 0);
    assert_eq!(object["agents"][0]["name"], "orders");
    assert_eq!(object["agents"][0]["file"], "./orders.toml");
    assert_eq!(object["problems"][0]["severity"], "warning");
    assert!(object["problems"][0]["line"].is_u64(), "{object:#}");
}

#[test]
fn what_cannot_be_imported_ends_in_a_code_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, expected, words) in [
        ("absent.json", None, 78, "No such file"),
        (
            "none.json",
            Some(r#"{"version": 3}"#),
            1,
            "no agent to import: the file has no `async_agent`",
        ),
        (
            "kafka.json",
            Some(r#"{"version": 3, "async_agent": [{"extra_config": {"async/kafka": {}}}]}"#),
            1,
            "no agent to import: 1 skipped",
        ),
        (
            "broken.json",
            Some("{"),
            78,
            "broken.json:1:2: a key in double quotes is expected here; ",
        ),
        ("template.tmpl", Some("{{ include \"x\" }}"), 78, "flexible configuration"),
    ] {
        if let Some(text) = text {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (code, told, said) = agentd(dir.path(), &["import", name, "--out", "agents.d"]);
        assert_eq!((code, told.as_str()), (expected, ""), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        assert!(!dir.path().join("agents.d").exists(), "{name} made the directory");
    }
    let (code, _, said) = agentd(dir.path(), &["import"]);
    assert_eq!(code, 64, "{said}");
}
