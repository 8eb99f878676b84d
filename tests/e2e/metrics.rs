//! What Prometheus reads is what really happened.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::admin::Admin;
use crate::support::wait::within;
use crate::support::{
    Agent, Backend, Broker, Daemon, Gate, Message, Proxy, Publisher, Reply, Vhost, on_every_release,
};

/// One look at `/metrics`, in the text format.
#[derive(Debug)]
struct Scrape(String);

impl Scrape {
    /// The sum of the samples whose name is `name` and whose labels have all of these.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        let values = samples.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (known, rest) = series.split_once('{').unwrap_or((series, ""));
            let has =
                |(label, value): &(&str, &str)| rest.contains(&format!("{label}=\"{value}\""));
            (known == name && labels.iter().all(has)).then(|| value.parse::<f64>().unwrap())
        });
        values.sum()
    }

    fn is(&self, name: &str, labels: &[(&str, &str)], value: u32) -> bool {
        self.sum(&format!("amqp_agentd_{name}"), labels).total_cmp(&value.into()).is_eq()
    }

    fn is_in(&self, state: &str) -> bool {
        self.is("agent_state", &[("agent", "orders"), ("state", state)], 1)
    }

    fn settled(&self, kind: &str, count: u32) -> bool {
        self.is("messages_settled_total", &[("agent", "orders"), ("kind", kind)], count)
    }

    /// Nothing came that is not accounted for.
    fn adds_up(&self) -> bool {
        let sum = |name: &str| self.sum(&format!("amqp_agentd_messages_{name}"), &[]);
        let left = sum("settled_total") + sum("abandoned_total") + sum("held");
        sum("received_total").total_cmp(&left).is_eq()
    }
}

/// Looks until what is shown is as wanted, and adds up.
async fn shown(admin: &Admin, what: &str, is_wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let answer = admin.wait_for("/metrics", what, |answer| {
        let scrape = Scrape(answer.body.clone());
        scrape.adds_up() && is_wanted(&scrape)
    });
    Scrape(answer.await.body)
}

struct Shop {
    daemon: Daemon,
    admin: Admin,
    backend: Backend,
    proxy: Proxy,
    publisher: Publisher,
}

impl Shop {
    async fn open(vhost: &Vhost) -> Shop {
        let backend = Backend::start();
        let proxy = Proxy::to(vhost.broker.amqp_port);
        let agent = Agent::between("orders", &vhost.url_by(proxy.port()), &backend.url())
            .set_backend("name", "billing")
            .set("async/amqp.prefetch_count", 10)
            // Where a gate is shut a request waits for what the test looks at meanwhile.
            .set("consumer.timeout", "1m")
            .set("consumer.workers", 4);
        let daemon = Daemon::running([&agent]).await;
        vhost.wait_for_consumer("orders").await;
        let publisher = Publisher::connect(vhost).await;
        Shop { admin: daemon.admin(), daemon, backend, proxy, publisher }
    }

    async fn publish(&mut self, body: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.publisher.publish(Message::to("orders", body).timestamp(now)).await;
    }

    async fn well(&mut self) {
        for body in ["1", "2", "3"] {
            self.publish(body).await;
        }
        let scrape = shown(&self.admin, "three delivered", |all| {
            all.settled("delivered", 3) && all.is("messages_in_flight", &[], 0)
        });
        let scrape = scrape.await;
        assert!(scrape.is_in("consuming"), "{scrape:?}");
        let ok = [("backend", "billing"), ("status_class", "2xx"), ("outcome", "delivered")];
        for (name, labels, value) in [
            ("backend_requests_total", &ok[..], 3),
            ("backend_requests_total", &[], 3),
            ("backend_request_duration_seconds_count", &ok[..1], 3),
            ("backend_request_duration_seconds_bucket", &[("le", "+Inf")], 3),
            ("message_delay_seconds_count", &[("agent", "orders")], 3),
            ("messages_held", &[], 0),
            ("messages_in_flight", &[], 0),
            ("window_messages", &[("agent", "orders")], 10),
            ("workers", &[("agent", "orders")], 4),
            ("config_last_load_successful", &[], 1),
            ("messages_dropped_unsettled_total", &[], 0),
        ] {
            assert!(scrape.is(name, labels, value), "{name} is not {value}: {scrape:?}");
        }
        let last = scrape.sum("amqp_agentd_last_received_timestamp_seconds", &[]);
        assert!(last > scrape.sum("process_start_time_seconds", &[]), "{scrape:?}");
    }

    /// A message that fails twice, first with 500 and then with 503, and one that is refused.
    async fn faults(&mut self) {
        self.backend.reply_with(|request| match (request.text().as_str(), request.number) {
            ("fails", 4) => Reply::status(500),
            ("fails", 5) => Reply::status(503),
            ("refused", _) => Reply::status(422),
            _ => Reply::status(204),
        });
        self.publish("fails").await;
        // The copy may come back before its confirm does: then the message that it is made of is
        // held a while longer.
        let scrape = shown(&self.admin, "a fourth delivered", |all| {
            all.settled("delivered", 4) && all.is("messages_held", &[], 0)
        });
        let scrape = scrape.await;
        let class = |class| [("backend", "billing"), ("status_class", class)];
        assert!(scrape.is("backend_requests_total", &class("5xx"), 2), "{scrape:?}");
        let again = [("outcome", "try_again")];
        assert!(scrape.is("backend_requests_total", &again, 2), "{scrape:?}");
        let in_place = scrape.sum("amqp_agentd_in_place_retries_total", &[]);
        let retried = scrape.sum("amqp_agentd_messages_settled_total", &[("kind", "retried")]);
        assert!((in_place + retried).total_cmp(&2.0).is_eq(), "{scrape:?}");

        self.publish("refused").await;
        let scrape =
            shown(&self.admin, "a dead letter", |all| all.settled("dead_lettered", 1)).await;
        for (name, labels) in [
            ("dead_letters_total", &[("reason", "refused")][..]),
            ("dead_letters_total", &[]),
            ("backend_requests_total", &[("status_class", "4xx"), ("outcome", "refused")]),
        ] {
            assert!(scrape.is(name, labels, 1), "{name}: {scrape:?}");
        }
    }

    async fn hold(&mut self) {
        self.backend.refuse().await;
        self.publish("waits").await;
        // The state is told first, and then the request counted that brought it about.
        let refused = [("status_class", "not_sent"), ("outcome", "unwell")];
        let scrape = shown(&self.admin, "a hold and what began it", |all| {
            all.is_in("holding") && all.sum("amqp_agentd_backend_requests_total", &refused) >= 1.0
        });
        let scrape = scrape.await;
        assert!(!scrape.is_in("consuming"), "{scrape:?}");
        for name in ["messages_held", "backend_unreachable"] {
            assert!(scrape.is(name, &[("agent", "orders")], 1), "{name}: {scrape:?}");
        }
        self.backend.listen();
        let scrape = shown(&self.admin, "the end of it", |all| {
            all.settled("delivered", 5) && all.is_in("consuming")
        });
        let scrape = scrape.await;
        assert!(scrape.is("backend_unreachable", &[], 0), "{scrape:?}");
    }

    async fn reconnect(&mut self) {
        let gate = Gate::new();
        let shut = gate.clone();
        self.backend.reply_with(move |_| Reply::status(204).after(&shut));
        self.publish("comes twice").await;
        shown(&self.admin, "one in flight", |all| all.is("messages_in_flight", &[], 1)).await;
        self.proxy.reset();
        let scrape = shown(&self.admin, "a session that ended", |all| {
            all.is("messages_abandoned_total", &[], 1) && all.is("sessions_ended_total", &[], 1)
        });
        let scrape = scrape.await;
        assert!(scrape.is("sessions_ended_total", &[("cause", "lost")], 1), "{scrape:?}");
        gate.open();
        shown(&self.admin, "its delivery", |all| all.settled("delivered", 6)).await;
    }

    async fn broken_file(&mut self) {
        self.daemon.write_file("more.toml", "workers = true");
        self.daemon.signal("HUP");
        let scrape = shown(&self.admin, "a reload that failed", |all| {
            all.is("config_reloads_total", &[("result", "failed")], 1)
        });
        let scrape = scrape.await;
        assert!(scrape.is("config_last_load_successful", &[], 0), "{scrape:?}");
        assert!(scrape.is("config_broken_files", &[], 1), "{scrape:?}");
    }
}

#[tokio::test]
async fn every_number_is_what_happened() {
    on_every_release(|vhost| async move {
        let mut shop = Shop::open(&vhost).await;
        shop.well().await;
        shop.faults().await;
        shop.hold().await;
        shop.reconnect().await;
        shop.broken_file().await;
        let scrape = shown(&shop.admin, "every request that was answered, and no more", |all| {
            // Looked at each time: one of a session that ended may still be on its way.
            let answered = u32::try_from(shop.backend.requests().len()).unwrap();
            let of =
                |class| all.sum("amqp_agentd_backend_requests_total", &[("status_class", class)]);
            (of("2xx") + of("4xx") + of("5xx")).total_cmp(&answered.into()).is_eq()
        });
        lint(&scrape.await).await;
        shop.daemon.stop().await;
    })
    .await;
}

#[tokio::test]
async fn while_there_is_no_broker_nothing_is_held() {
    on_every_release(|vhost| async move {
        let mut shop = Shop::open(&vhost).await;
        let gate = Gate::new();
        let shut = gate.clone();
        shop.backend.reply_with(move |_| Reply::status(204).after(&shut));
        for body in ["1", "2", "3", "4", "5", "6"] {
            shop.publish(body).await;
        }
        let scrape = shown(&shop.admin, "four of six in flight", |all| {
            all.is("messages_in_flight", &[], 4) && all.is("messages_held", &[], 6)
        });
        scrape.await;
        shop.proxy.refuse().await;
        let scrape = shown(&shop.admin, "what was held given up", |all| {
            all.is_in("connecting") && all.is("messages_abandoned_total", &[], 6)
        });
        assert!(scrape.await.is("messages_in_flight", &[], 4), "their requests go on");
        gate.open();
        shown(&shop.admin, "nothing in flight", |all| all.is("messages_in_flight", &[], 0)).await;
        shop.proxy.listen();
        shown(&shop.admin, "all delivered", |all| all.settled("delivered", 6)).await;
        shop.daemon.stop().await;
    })
    .await;
}

/// promtool finds nothing to say about names, types and help.
async fn lint(scrape: &Scrape) {
    let mut promtool = Command::new("scripts/promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let piped = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = piped.spawn().unwrap();
    // One that isn't there reads nothing.
    child.stdin.take().unwrap().write_all(scrape.0.as_bytes()).await.ok();
    let output = within("promtool's end", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(69) {
        eprintln!("SKIPPED: the names were not checked: {said}");
        return;
    }
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn the_format_is_the_one_that_is_asked_for() {
    let vhost = Broker::any().vhost();
    let backend = Backend::start();
    let mut daemon = Daemon::running([&Agent::new("orders", &vhost, &backend)]).await;
    let admin = daemon.admin();
    let plain = admin.get("/metrics").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(plain.body.contains("\n# TYPE amqp_agentd_messages_received_total counter\n"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = admin.ask_with("GET", "/metrics", accept).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(kind));
    assert!(open.body.contains("\n# TYPE amqp_agentd_messages_received counter\n"));
    assert!(open.body.ends_with("\n# EOF\n"));
    daemon.stop().await;
}
