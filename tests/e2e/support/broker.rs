//! The RabbitMQ nodes that tests share.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use tokio::task::JoinSet;

use super::management::{Management, segment};
use super::vhost::Vhost;

/// A running RabbitMQ node.
#[derive(Debug, Clone)]
pub struct Broker {
    /// 3 or 4.
    pub release: u8,
    /// Such as `4.3.6`.
    pub version: String,
    /// Plain AMQP on the loopback interface.
    pub amqp_port: u16,
    /// AMQP over TLS, for `localhost` and `127.0.0.1`.
    pub amqps_port: u16,
    /// Holds `ca.pem`, and `client.pem` and `client.key` of the user `guest`.
    pub tls_dir: PathBuf,
    /// Its management interface.
    pub management: Management,
}

impl Broker {
    /// Every node there is to test against: at least one.
    pub fn all() -> &'static [Broker] {
        static ALL: OnceLock<Vec<Broker>> = OnceLock::new();
        ALL.get_or_init(|| {
            let named = named_by_environment();
            if named.is_empty() { start_own() } else { named }
        })
    }

    /// One of them, for a test to which the release makes no difference.
    pub fn any() -> Broker {
        Self::all()[0].clone()
    }

    /// A virtual host of the test's own, gone with it.
    pub fn vhost(&self) -> Vhost {
        Vhost::create(self, "test")
    }

    /// The node that `scripts/broker` has in `dir`, by its file `env`.
    pub fn in_dir(dir: &Path) -> Broker {
        let file = dir.join("env");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        let values: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let port = |key: &str| values[key].parse().expect("scripts/broker writes port numbers");
        Broker {
            release: values["RELEASE"][..1].parse().expect("a release begins with a digit"),
            version: values["RELEASE"].to_owned(),
            amqp_port: port("AMQP_PORT"),
            amqps_port: port("AMQPS_PORT"),
            tls_dir: values["TLS_DIR"].into(),
            management: Management { port: port("MANAGEMENT_PORT") },
        }
    }

    /// Adds a user; without permissions in any virtual host.
    pub fn add_user(&self, name: &str, password: &str) {
        let user = serde_json::json!({ "password": password, "tags": "" });
        self.management.put(&format!("users/{}", segment(name)), &user);
    }

    /// Removes a user, and ends what it has open.
    pub fn remove_user(&self, name: &str) {
        self.management.delete(&format!("users/{}", segment(name)));
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RabbitMQ {}", self.version)
    }
}

/// Runs `test` once on each node, at the same time, and says on which one it failed.
pub async fn on_every_release<F, T>(test: F)
where
    F: Fn(Vhost) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut runs = JoinSet::new();
    for broker in Broker::all() {
        let run = test(broker.vhost());
        runs.spawn(async move {
            let failed_here = SayWhere(broker);
            run.await;
            drop(failed_here);
        });
    }
    while let Some(run) = runs.join_next().await {
        if let Err(error) = run {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Names the node when a test panics.
struct SayWhere(&'static Broker);

impl Drop for SayWhere {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was on {}", self.0);
        }
    }
}

fn named_by_environment() -> Vec<Broker> {
    [3, 4]
        .into_iter()
        .filter_map(|release| std::env::var_os(format!("AMQP_AGENTD_TEST_BROKER_{release}")))
        .map(|dir| Broker::in_dir(Path::new(&dir)))
        .collect()
}

/// Starts a node of each release that this machine can start, for as long as this process lives.
fn start_own() -> Vec<Broker> {
    let output = Command::new(script()).arg("releases").output().expect("scripts/broker runs");
    let releases = String::from_utf8_lossy(&output.stdout).into_owned();
    let releases: Vec<u8> = releases
        .bytes()
        .filter(|byte| matches!(byte, b'3' | b'4'))
        .map(|byte| byte - b'0')
        .collect();
    let started: Vec<_> = [3, 4]
        .into_iter()
        .filter(|release| releases.contains(release))
        .map(|release| start_for_this_process(release, "shared"))
        .collect();
    assert!(!started.is_empty(), "no RabbitMQ can be started here; run scripts/test");
    started
}

/// Starts a node in a directory of its own, which both are gone when this process ends.
pub fn start_for_this_process(release: u8, name: &str) -> Broker {
    static GUARDS: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let dir = own_dir(release, name);
    // Before the node: a run that is interrupted while it starts leaves nothing either.
    GUARDS.lock().unwrap().push(guard(&dir));
    let status = Command::new(script())
        .arg("start")
        .arg(&dir)
        .args(["--release", &release.to_string()])
        .stdout(Stdio::null())
        .status()
        .expect("scripts/broker runs");
    assert!(
        status.success(),
        "scripts/broker could not start RabbitMQ {release}: run scripts/test"
    );
    Broker::in_dir(&dir)
}

/// Where the node `name` of this process lives.
pub fn own_dir(release: u8, name: &str) -> PathBuf {
    let dir = format!("target/test-brokers/{}-{name}-{release}", std::process::id());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)
}

/// A shell that removes the node of `dir` once the other end of its input is closed, which it is
/// when this process ends, however it ends.
fn guard(dir: &Path) -> Child {
    Command::new("sh")
        .args(["-c", r#"cat >/dev/null; "$1" kill "$2"; rm -rf "$2""#, "guard"])
        .arg(script())
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A key press that interrupts us must not interrupt the cleaning up.
        .process_group(0)
        .spawn()
        .expect("sh runs")
}

/// `scripts/broker`.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/broker")
}
