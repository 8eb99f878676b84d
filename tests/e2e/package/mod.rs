//! The Debian package on a machine of its own, under a real systemd, from its installation to its
//! purge. `scripts/test-package` makes package and machine.

mod machine;

use std::collections::BTreeSet;

use machine::Machine;

use crate::support::backend::Request;
use crate::support::{Agent, Backend, Broker, Gate, Message, Publisher, Reply, Vhost};

const AGENT_FILE: &str = "/etc/amqp-agentd/agents.d/orders.toml";

/// Every file, owner and mode that a package may leave behind; what other programs write is left out.
const FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
    -o -path /packages -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt \
    -o -path /var/lib/systemd -o -path /etc/.pwd.lock \\) -prune -o -name '*-' -o -printf '%p %u %m\\n' | sort";

/// The package, and what it is tried with.
struct Trial {
    machine: Machine,
    vhost: Vhost,
    backend: Backend,
    publisher: Publisher,
    /// Messages published so far; their bodies are their numbers.
    published: usize,
}

#[tokio::test]
async fn the_package_lives_from_its_installation_to_its_purge() {
    let Some(machine) = Machine::named() else {
        eprintln!("SKIPPED: no machine to install the package on; scripts/test-package boots one");
        return;
    };
    let before = machine.run(FILES).await;
    let users = machine.run("getent passwd; getent group").await;
    let vhost = Broker::any().vhost();
    vhost.declare_queue("orders");
    let publisher = Publisher::connect(&vhost).await;
    let mut trial = Trial { machine, vhost, backend: Backend::start(), publisher, published: 0 };

    trial.is_installed().await;
    trial.takes_a_credential().await;
    trial.is_well_sandboxed_and_closed_to_others().await;
    trial.reloads_what_is_right_and_nothing_else().await;
    trial.serves_its_group().await;
    trial.drains_when_stopped().await;
    trial.drains_when_upgraded().await;
    trial.is_removed().await;

    let machine = &trial.machine;
    machine.run("apt-get purge -y amqp-agentd").await;
    machine.run("systemctl daemon-reload").await;
    assert_eq!(machine.run(FILES).await, before, "a purge leaves what was there before");
    assert_eq!(machine.run("getent passwd; getent group").await, users);
    assert_eq!(machine.try_run("systemctl cat amqp-agentd").await.code, Some(1));
}

impl Trial {
    async fn is_installed(&mut self) {
        let machine = &self.machine;
        machine
            .run("apt-get install -y --no-install-recommends /packages/amqp-agentd_*-1_*.deb")
            .await;
        // It runs before there is an agent, so that the first one only takes a reload.
        assert_eq!(machine.run("systemctl is-active amqp-agentd").await, "active");
        assert_eq!(machine.run("systemctl is-enabled amqp-agentd").await, "enabled");
        let status = machine.run("systemctl show -P StatusText amqp-agentd").await;
        assert!(status.contains("no agents"), "{status}");
        let user = machine.run("stat -c %U /proc/$(systemctl show -P MainPID amqp-agentd)").await;
        assert_eq!(user, "amqp-agentd");
        machine.run("amqp-agentd check").await;
        for page in ["8 amqp-agentd", "5 amqp-agentd.toml"] {
            let read = machine.run(&format!("MANWIDTH=80 man --warnings {page}")).await;
            assert!(read.contains("SEE ALSO"), "{read}");
        }
        let documents = "cd /usr/share/doc/amqp-agentd && ls docs/operations.md docs/metrics.md \
            examples/amqp-agentd.rules.yml examples/grafana-dashboard.json";
        machine.run(documents).await;
        let complete = ". /usr/share/bash-completion/bash_completion; _completion_loader amqp-agentd; \
            complete -p amqp-agentd";
        machine.run(&format!("bash -c '{complete}'")).await;
    }

    /// As the README and the manual page say it.
    async fn takes_a_credential(&mut self) {
        let machine = &self.machine;
        machine.write("/etc/amqp-agentd/secrets/amqp-password", "guest", 0o600);
        let drop_in = "[Service]\n\
            LoadCredential=amqp-password:/etc/amqp-agentd/secrets/amqp-password\n";
        machine.write("/etc/systemd/system/amqp-agentd.service.d/override.conf", drop_in, 0o644);
        self.write_agent("/first");
        let machine = &self.machine;
        machine.run("systemctl daemon-reload && systemctl restart amqp-agentd").await;
        self.publish(50).await;
        self.all_have_come().await;
        let line = self.journal("consuming agent=orders").await;
        assert!(line.contains("user=guest"), "{line}");
        let by_field = self.machine.run("journalctl -q -o cat AMQP_AGENT=orders").await;
        assert!(by_field.contains("consuming"), "{by_field}");
        let everything = self.machine.run("journalctl -u amqp-agentd -o export").await;
        assert!(!everything.contains("guest:guest"), "the log shows no password");
    }

    async fn is_well_sandboxed_and_closed_to_others(&self) {
        let machine = &self.machine;
        machine.run("systemd-analyze security --no-pager --threshold=12 amqp-agentd").await;
        assert_eq!(
            machine.run("stat -c '%a %U:%G' /etc/amqp-agentd").await,
            "750 root:amqp-agentd"
        );
        let own = "find / -xdev -path /proc -prune -o -user amqp-agentd -print";
        assert_eq!(machine.run(own).await, "", "it owns no file but those of a run");
        let run = machine.run("find /run/amqp-agentd -printf '%p %m %u:%g\n'").await;
        assert!(run.starts_with("/run/amqp-agentd 750 amqp-agentd:amqp-agentd"), "{run}");
        let read_only =
            "nsenter -t $(systemctl show -P MainPID amqp-agentd) -m -- touch /etc/x /usr/x";
        assert_ne!(machine.try_run(read_only).await.code, Some(0));
    }

    async fn reloads_what_is_right_and_nothing_else(&mut self) {
        self.write_agent("/second");
        self.machine.run("systemctl reload amqp-agentd").await;
        self.journal("reloaded").await;
        self.publish(1).await;
        let path = self.all_have_come().await;
        assert_eq!(path, "/second");

        let process = self.machine.run("systemctl show -P MainPID amqp-agentd").await;
        self.machine.write(AGENT_FILE, "[consumer]\nworkers = \"many\"\n", 0o644);
        let reload = self.machine.try_run("systemctl reload amqp-agentd").await;
        assert_ne!(reload.code, Some(0), "{}", reload.said);
        self.journal(&format!("{AGENT_FILE}:2:11: ")).await;
        assert_eq!(self.machine.run("systemctl is-active amqp-agentd").await, "active");
        assert_eq!(self.machine.run("systemctl show -P MainPID amqp-agentd").await, process);
        self.publish(1).await;
        let path = self.all_have_come().await;
        assert_eq!(path, "/second", "the old agent goes on");
        self.write_agent("/second");
    }

    /// Who is in the group may look, without being root; who is not may not.
    async fn serves_its_group(&self) {
        let machine = &self.machine;
        machine.run("useradd -G amqp-agentd alice && useradd bob").await;
        machine.run("runuser -u alice -- amqp-agentd check").await;
        let socket = machine.run("stat -c '%a %U:%G' /run/amqp-agentd/admin.sock").await;
        assert_eq!(socket, "660 amqp-agentd:amqp-agentd");
        machine.wait_for("runuser -u alice -- amqp-agentd status orders", "consuming").await;
        machine.run("runuser -u alice -- amqp-agentd pause orders").await;
        machine.run("runuser -u alice -- amqp-agentd resume orders").await;
        let status = machine.try_run("runuser -u bob -- amqp-agentd status").await;
        assert_ne!(status.code, Some(0));
        assert!(status.said.contains("not allowed"), "{}", status.said);
        let others =
            machine.try_run("runuser -u bob -- cat /etc/amqp-agentd/agents.d/orders.toml").await;
        assert!(others.said.contains("Permission denied"), "{}", others.said);
        machine.run("userdel alice && userdel bob").await;
    }

    async fn drains_when_stopped(&mut self) {
        let gate = self.close_gate();
        self.publish(40).await;
        self.backend.wait_for_in_flight(5).await;
        self.machine.run("systemctl stop --no-block amqp-agentd").await;
        // Those that were never started are back while five are still in flight.
        self.publisher.wait_for_ready("orders", 35).await;
        gate.open();
        self.machine.wait_for("systemctl is-active amqp-agentd", "inactive").await;
        assert_eq!(self.machine.run("systemctl show -P Result amqp-agentd").await, "success");
        assert_eq!(self.publisher.depth("orders").await, (35, 0));
        self.machine.run("systemctl reset-failed amqp-agentd; systemctl start amqp-agentd").await;
        self.all_have_come().await;
    }

    async fn drains_when_upgraded(&mut self) {
        let gate = self.close_gate();
        self.publish(40).await;
        self.backend.wait_for_in_flight(5).await;
        let process = self.machine.run("systemctl show -P MainPID amqp-agentd").await;
        let open = async {
            self.publisher.wait_for_ready("orders", 35).await;
            gate.open();
        };
        let upgrade = self.machine.run("apt-get install -y /packages/amqp-agentd_*-2_*.deb");
        tokio::join!(upgrade, open);
        assert_eq!(self.machine.run("systemctl is-active amqp-agentd").await, "active");
        assert_ne!(self.machine.run("systemctl show -P MainPID amqp-agentd").await, process);
        self.all_have_come().await;
    }

    async fn is_removed(&mut self) {
        self.machine.run("apt-get remove -y amqp-agentd").await;
        let gone =
            self.machine.try_run("test -e /usr/bin/amqp-agentd -o -e /run/amqp-agentd").await;
        assert_eq!(gone.code, Some(1));
        assert_eq!(
            self.machine.try_run("systemctl is-active amqp-agentd").await.said.trim(),
            "inactive"
        );
        self.machine.run(&format!("test -e {AGENT_FILE}")).await;
        self.publisher.wait_for_depth("orders", (0, 0)).await;
        self.machine.run("rm -r /etc/systemd/system/amqp-agentd.service.d").await;
    }

    fn write_agent(&self, path: &str) {
        let broker = self.vhost.url().replace(":guest@", ":${cred:amqp-password}@");
        let agent = Agent::between("orders", &broker, &self.backend.url())
            .set("consumer.workers", 5)
            .set_backend("url_pattern", path);
        self.machine.write(AGENT_FILE, &agent.to_string(), 0o644);
    }

    /// Requests wait until it is opened.
    fn close_gate(&self) -> Gate {
        let gate = Gate::new();
        let waited_for = gate.clone();
        self.backend.reply_with(move |_| Reply::status(204).after(&waited_for));
        gate
    }

    async fn publish(&mut self, count: usize) {
        let from = self.published;
        self.published += count;
        let messages =
            (from..self.published).map(|number| Message::to("orders", number.to_string()));
        self.publisher.publish_all(messages).await;
    }

    /// Waits until each message has come, and asserts that none came twice. The last one's path.
    async fn all_have_come(&mut self) -> String {
        let requests = self.backend.wait_for(self.published).await;
        let numbers: BTreeSet<_> = requests.iter().map(Request::text).collect();
        assert_eq!(numbers.len(), self.published, "each came");
        assert_eq!(requests.len(), self.published, "none came twice");
        self.publisher.wait_for_ready("orders", 0).await;
        requests.last().map(|request| request.path.clone()).unwrap_or_default()
    }

    async fn journal(&self, fragment: &str) -> String {
        self.machine.wait_for("journalctl -q -u amqp-agentd -o cat", fragment).await
    }
}
