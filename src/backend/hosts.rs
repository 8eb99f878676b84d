//! Which of a backend's hosts a request goes to: in turn, passing over those that fail.
//!
//! Pure: the time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How long a host is passed over after its first failure.
pub(super) const PASS_OVER_MIN: Duration = Duration::from_secs(1);

/// How long a host is passed over at most.
pub(super) const PASS_OVER_MAX: Duration = Duration::from_secs(30);

/// The hosts of one backend, by index.
#[derive(Debug)]
pub(super) struct Hosts {
    /// Where the next search begins.
    turn: usize,
    failures: Vec<Option<Failure>>,
}

/// A host that could not be reached when it was last tried.
#[derive(Debug, Clone, Copy)]
struct Failure {
    wait: Duration,
    until: Instant,
}

impl Hosts {
    pub(super) fn new(count: usize) -> Self {
        Self { turn: 0, failures: vec![None; count] }
    }

    /// The host to try next: the next in turn that is not passed over and not in `tried`, else
    /// the untried one whose wait ends first. `None` when all were tried.
    pub(super) fn pick(&mut self, now: Instant, tried: &[usize]) -> Option<usize> {
        let count = self.failures.len();
        let turn = self.turn;
        let untried =
            || (turn..turn + count).map(|index| index % count).filter(|host| !tried.contains(host));
        let until = |host: usize| self.failures[host].map(|failure| failure.until);
        let ready = untried().find(|host| until(*host).is_none_or(|until| until <= now));
        let host = ready.or_else(|| untried().min_by_key(|host| until(*host)))?;
        self.turn = (host + 1) % count;
        Some(host)
    }

    /// Notes that nothing could be sent to `host`. Failures that come while it is passed over
    /// already, of requests that were on their way together, do not make the wait longer.
    pub(super) fn failed(&mut self, host: usize, now: Instant) {
        let failure = &mut self.failures[host];
        let wait = match *failure {
            Some(last) if now < last.until => return,
            Some(last) => PASS_OVER_MAX.min(last.wait * 2),
            None => PASS_OVER_MIN,
        };
        *failure = Some(Failure { wait, until: now + wait });
    }

    /// Notes that `host` took a request.
    pub(super) fn reached(&mut self, host: usize) {
        self.failures[host] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[tokio::test]
    async fn hosts_take_turns() {
        let now = Instant::now();
        let mut hosts = Hosts::new(3);
        let picked: Vec<_> = (0..5).map(|_| hosts.pick(now, &[])).collect();
        assert_eq!(picked, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
    }

    #[tokio::test]
    async fn a_failed_host_is_passed_over_until_its_wait_ends() {
        let start = Instant::now();
        let mut hosts = Hosts::new(2);
        hosts.failed(0, start);
        assert_eq!(hosts.pick(start, &[]), Some(1));
        assert_eq!(hosts.pick(at(start, 999), &[]), Some(1));
        assert_eq!(hosts.pick(at(start, 1000), &[]), Some(0));
    }

    #[tokio::test]
    async fn an_attempt_tries_every_host_once_and_then_gives_up() {
        let now = Instant::now();
        let mut hosts = Hosts::new(3);
        hosts.failed(2, now);
        let mut tried = Vec::new();
        while let Some(host) = hosts.pick(now, &tried) {
            hosts.failed(host, now);
            tried.push(host);
        }
        assert_eq!(tried, [0, 1, 2]);
    }

    #[tokio::test]
    async fn when_all_are_passed_over_the_one_that_comes_back_first_is_tried() {
        let start = Instant::now();
        let mut hosts = Hosts::new(2);
        hosts.failed(1, start);
        hosts.failed(0, at(start, 500));
        assert_eq!(hosts.pick(at(start, 600), &[]), Some(1));
    }

    #[tokio::test]
    async fn waits_double_up_to_their_cap_and_end_with_success() {
        let mut now = Instant::now();
        let mut hosts = Hosts::new(1);
        let mut waits = Vec::new();
        for _ in 0..7 {
            hosts.failed(0, now);
            let failure = hosts.failures[0].unwrap();
            waits.push(failure.wait.as_secs());
            now = failure.until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        hosts.reached(0);
        hosts.failed(0, now);
        assert_eq!(hosts.failures[0].unwrap().wait, PASS_OVER_MIN);
    }

    #[tokio::test]
    async fn requests_that_fail_together_make_one_wait() {
        let start = Instant::now();
        let mut hosts = Hosts::new(2);
        for _ in 0..20 {
            hosts.failed(0, start);
        }
        assert_eq!(hosts.failures[0].unwrap().wait, PASS_OVER_MIN);
    }

    #[test]
    fn no_hosts_no_pick() {
        assert_eq!(Hosts::new(0).pick(Instant::now(), &[]), None);
    }
}
