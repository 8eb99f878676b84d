//! What systemd is told, by the protocol of `sd_notify(3)`; nothing where nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the service manager how the daemon is.
#[derive(Debug, Default)]
pub struct Notifier {
    /// As last told.
    status: String,
    trouble: Option<String>,
}

impl Notifier {
    /// What is wrong beside the agents; it follows every status until it is mended.
    pub fn trouble(&mut self, trouble: Option<String>) {
        self.trouble = trouble;
    }

    /// Configuration read, agents started. Brokers need not have answered: an outage of theirs
    /// must not block boot.
    pub fn ready(&mut self, status: &str) {
        self.status = self.whole(status);
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    /// A reload begins. Both fields go in one datagram, as `sd_notify(3)` demands;
    /// [`ready`](Self::ready) follows even where the reload was refused.
    pub fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    /// What `systemctl status` shows, told only when it changes.
    pub fn status(&mut self, status: &str) {
        let status = self.whole(status);
        if self.status != status {
            self.status = status;
            tell(&[NotifyState::Status(&self.status)]);
        }
    }

    fn whole(&self, status: &str) -> String {
        match &self.trouble {
            Some(trouble) => format!("{status}; {trouble}"),
            None => status.to_owned(),
        }
    }

    /// The daemon and all of its threads are alive.
    pub fn watchdog(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The daemon is about to end.
    pub fn stopping(&mut self, status: &str) {
        self.status.replace_range(.., status);
        tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// How often [`watchdog`](Self::watchdog) is due: half of what systemd waits for.
    #[must_use]
    pub fn watchdog_interval() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| limit / 2)
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("failed to notify systemd: {error}");
    }
}
