//! All that a run consists of: broker, daemon, backends, what is between them, and the book.

use std::path::{Path, PathBuf};
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::arguments::{Options, Queue};
use super::book::{Book, Dead};
use super::daemon::{Daemon, Line};
use super::feed::Tap;
use super::letter::{self, Agent};
use super::node::Node;
use super::oracle::Record;
use super::site::Site;
use super::support::management::segment;
use super::support::{Agent as AgentFile, Proxy, Vhost};

/// Quick tries of a message after the first, by the agents' files.
pub const IN_PLACE: usize = 1;

/// Deliveries that may fail. The ladder of waits that they make, at least 0.25 + 0.5 + 1 + 2 + 2 s
/// by the delays and 6 × 0.2 s in place, is longer than any fault that costs attempts lasts (3 s):
/// no innocent message runs out of them.
pub const ATTEMPTS: usize = 6;

const DELAYS: [&str; 4] = ["250ms", "500ms", "1s", "2s"];

/// The most messages that an agent holds, by any of its files.
pub const WINDOW_MAX: u16 = 60;

/// The longest that anything may take to come right after a fault.
pub const RECOVERY_MAX: Duration = Duration::from_secs(90);

pub struct World {
    pub node: Node,
    pub vhost: Vhost,
    pub queue: Queue,
    pub book: Book,
    pub tap: Tap,
    pub daemon: Mutex<Daemon>,
    pub broker_leg: Mutex<Proxy>,
    /// Before the first two sites.
    pub backend_legs: [Mutex<Proxy>; 2],
    pub sites: [Mutex<Site>; 3],
    pub record: StdMutex<Record>,
    /// Where logs are kept.
    pub dir: PathBuf,
}

impl World {
    /// Makes it, with the daemon running and its queues there.
    pub async fn make(
        options: &Options,
        node: Node,
        queue: Queue,
        seed: u64,
        dir: &Path,
    ) -> Result<World, String> {
        std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let book = Book::new(seed);
        let sites = [0, 1, 2].map(|site| Site::open(site, &book));
        let legs = [0, 1].map(|site: usize| Proxy::to(sites[site].port()));
        let vhost = Vhost::create(&node.broker, "chaos");
        let daemon = Daemon::new(&options.daemon, &dir.join("daemon.log"));
        let daemon = daemon.map_err(|error| format!("the daemon's files: {error}"))?;
        let world = World {
            broker_leg: Mutex::new(Proxy::to(node.broker.amqp_port)),
            backend_legs: legs.map(Mutex::new),
            sites: sites.map(Mutex::new),
            daemon: Mutex::new(daemon),
            tap: Tap::new(),
            record: StdMutex::default(),
            dir: dir.to_owned(),
            node,
            vhost,
            queue,
            book,
        };
        for agent in Agent::ALL {
            world.write(agent, 10, WINDOW_MAX).await?;
        }
        world.start().await?;
        for agent in Agent::ALL {
            world.wait_for_queue(agent.name()).await?;
        }
        Ok(world)
    }

    /// Writes an agent's file.
    pub async fn write(&self, agent: Agent, workers: u8, window: u16) -> Result<(), String> {
        let broker = self.vhost.url_by(self.broker_leg.lock().await.port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let [alpha, beta] = &self.backend_legs;
        let file = match agent {
            Agent::Orders => {
                let first = AgentFile::between("orders", &broker, &url(alpha.lock().await.port()));
                first
                    .backend(&url(beta.lock().await.port()), &[])
                    .set("async/amqp.exchange", letter::EXCHANGE)
                    .set("consumer.topic", vec!["order.*"])
            }
            Agent::Parcels => {
                let site = self.sites[2].lock().await.port();
                AgentFile::between("parcels", &broker, &url(site))
            }
        };
        let file = file
            .set("async/amqp.queue_type", self.queue.name())
            .set("async/amqp.prefetch_count", i64::from(window))
            .set("async/amqp.heartbeat", "4s")
            .set("async/amqp.connect_timeout", "3s")
            .set("consumer.workers", i64::from(workers))
            .set("consumer.timeout", "1500ms")
            .set("hold.release_after", "2s")
            .set("retry.attempts", i64::try_from(ATTEMPTS).expect("it is 6"))
            .set("retry.in_place", i64::try_from(IN_PLACE).expect("it is 1"))
            .set("retry.delays", DELAYS.to_vec());
        self.daemon.lock().await.write(&file).map_err(|error| format!("an agent's file: {error}"))
    }

    /// Starts the daemon, and waits until it hears signals.
    pub async fn start(&self) -> Result<(), String> {
        let mut daemon = self.daemon.lock().await;
        daemon.start().map_err(|error| format!("cannot start the daemon: {error}"))?;
        let end = Instant::now() + RECOVERY_MAX;
        while !self.take_news(&mut daemon)? {
            if let Some(status) = daemon.ended() {
                return Err(format!("the daemon ended in place of starting: {status}"));
            }
            if Instant::now() > end {
                return Err("the daemon did not start in time".to_owned());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Takes in what the daemon has logged; true when a process began.
    pub fn take_news(&self, daemon: &mut Daemon) -> Result<bool, String> {
        let news = daemon.news().map_err(|error| format!("the daemon's log: {error}"))?;
        let mut has_started = false;
        let mut record = self.record.lock().expect("never poisoned");
        for line in news {
            match line {
                Line::Started => {
                    has_started = true;
                    record.process_began();
                }
                Line::Session { agent, at } => record.session_began(&agent, at),
                Line::Summary { agent, counts } => record.summed_up(&agent, counts),
                Line::Fault(text) => self.book.wrong(None, format!("the daemon's log: {text}")),
            }
        }
        Ok(has_started)
    }

    /// Publishes again, after [`drain`](Self::drain).
    pub fn resume(&self) {
        self.book.calm(false);
        self.tap.flow();
    }

    /// Stops publishing, and waits until there is nothing left but dead letters, which it takes.
    pub async fn drain(&self) -> Result<(), String> {
        let what = "everything to be done and the queues empty";
        let Ok(result) = timeout(RECOVERY_MAX, self.drained()).await else {
            let queues: Vec<_> =
                self.queues().iter().map(|(name, depth)| format!("{name} {depth}")).collect();
            return Err(format!("waited in vain for {what}: {}", queues.join(", ")));
        };
        result
    }

    async fn drained(&self) -> Result<(), String> {
        // What is doomed has to end while others are delivered: a backend that fails whatever it
        // gets would be held for unwell, and rightly so.
        self.book.calm(true);
        while !self.book.pages().open_doomed.is_empty() {
            sleep(Duration::from_millis(500)).await;
            self.collect_dead_letters()?;
        }
        self.tap.shut().await;
        self.book.wait_until_done(usize::MAX).await;
        // The figures of queues lag by a second: what they say has to stay so.
        let mut in_a_row = 0;
        while in_a_row < 2 {
            sleep(Duration::from_millis(1200)).await;
            self.collect_dead_letters()?;
            let all_done = self.book.pages().open_doomed.is_empty();
            let is_empty = |(name, depth): &(String, u64)| *depth == 0 || is_dead_letters(name);
            let empty = all_done && self.queues().iter().all(is_empty);
            in_a_row = if empty { in_a_row + 1 } else { 0 };
        }
        Ok(())
    }

    /// The queues, and how many messages are in each, those with a consumer too.
    pub fn queues(&self) -> Vec<(String, u64)> {
        let queues = self.get(&format!("queues/{}", self.vhost.segment()));
        let queues = queues.as_array().cloned().unwrap_or_default();
        let depth = |queue: &Value| queue["messages"].as_u64().unwrap_or_default();
        queues
            .iter()
            .filter_map(|queue| Some((queue["name"].as_str()?.to_owned(), depth(queue))))
            .collect()
    }

    /// Asks the management interface; null when it does not answer.
    pub fn get(&self, path: &str) -> Value {
        self.node.broker.management.find(path).unwrap_or_default()
    }

    pub fn delete(&self, path: &str) -> Result<(), String> {
        match self.node.broker.management.request("DELETE", path, None) {
            Ok((200..=299 | 404, _)) => Ok(()),
            Ok((status, text)) => Err(format!("DELETE {path}: {status} {text}")),
            Err(error) => Err(format!("DELETE {path}: {error}")),
        }
    }

    pub fn path_of_queue(&self, name: &str) -> String {
        format!("queues/{}/{}", self.vhost.segment(), segment(name))
    }

    /// Waits until a queue has a consumer.
    pub async fn wait_for_queue(&self, name: &str) -> Result<(), String> {
        let end = Instant::now() + RECOVERY_MAX;
        while self.get(&self.path_of_queue(name))["consumers"].as_u64().unwrap_or_default() == 0 {
            if Instant::now() > end {
                return Err(format!("waited in vain for a consumer of {name}"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until all queues for copies are there, and not only just.
    ///
    /// A quorum queue whose broker is killed within moments of the declaration stays without a
    /// leader for ever ("leader not known", RabbitMQ 3.10): neither we nor the daemon can mend
    /// that, and no message is lost by it, but nothing that needs the queue goes on.
    pub async fn settle(&self) -> Result<(), String> {
        let wanted = Agent::ALL.len() * (DELAYS.len() + 1);
        let end = Instant::now() + RECOVERY_MAX;
        let of_copies = |name: &str| name.contains(".retry.") || is_dead_letters(name);
        while self.queues().iter().filter(|(name, _)| of_copies(name)).count() < wanted {
            if Instant::now() > end {
                return Err("waited in vain for the queues for copies".to_owned());
            }
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Takes what is in the dead-letter queues and compares it with what was published.
    pub fn collect_dead_letters(&self) -> Result<(), String> {
        for agent in Agent::ALL {
            let path = format!("{}/get", self.path_of_queue(&format!("{}.dead", agent.name())));
            let wish = json!({ "count": 20, "ackmode": "ack_requeue_false", "encoding": "base64" });
            loop {
                let (status, text) = self
                    .node
                    .broker
                    .management
                    .request("POST", &path, Some(&wish))
                    .map_err(|error| format!("dead letters: {error}"))?;
                if status != 200 {
                    // There is no such queue before the first of them.
                    break;
                }
                let found: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
                if found.is_empty() {
                    break;
                }
                for copy in found {
                    self.take_dead_letter(agent, &copy);
                }
            }
        }
        Ok(())
    }

    fn take_dead_letter(&self, agent: Agent, copy: &Value) {
        use base64::Engine;
        let properties = &copy["properties"];
        let headers = &properties["headers"];
        let number = properties["message_id"].as_str().and_then(|id| id.parse::<usize>().ok());
        let Some(number) = number.filter(|number| *number < self.book.pages().entries.len()) else {
            return self.book.wrong(None, format!("a dead letter without our id: {copy}"));
        };
        let body = copy["payload"].as_str().unwrap_or_default();
        let body = base64::prelude::BASE64_STANDARD.decode(body).unwrap_or_default();
        let letter = self.book.letter(number);
        for fault in letter.faults_of_copy(properties, &body) {
            self.book.wrong(Some(number), format!("integrity: {fault}"));
        }
        if headers["x-agent-dead-lettered-by"] != agent.name() {
            self.book.wrong(Some(number), format!("a dead letter of nobody: {headers}"));
        }
        let reason = headers["x-agent-reason"].as_str().unwrap_or("none").to_owned();
        let status = headers["x-agent-status"].as_u64();
        self.book.dead(number, Dead { reason, status });
    }
}

/// Whether the queue of that name is one for dead letters.
pub fn is_dead_letters(name: &str) -> bool {
    Agent::ALL.iter().any(|agent| name.strip_prefix(agent.name()) == Some(".dead"))
}
