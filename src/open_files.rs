//! How many files the system lets the daemon have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside the connections to brokers and backends.
const OTHERS: u64 = 32;

/// Raises the limit as far as the system lets it go; what it is then, `None` where there is none.
///
/// The usual 1024 protects programs that call `select(2)`, which we do not.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if current == maximum || setrlimit(Resource::Nofile, raised).is_err() {
        return current;
    }
    maximum
}

/// Whether `limit` leaves less than a connection for each of so many agents.
pub(crate) fn is_short(limit: Option<u64>, agents: usize) -> bool {
    let agents = u64::try_from(agents).unwrap_or(u64::MAX);
    limit.is_some_and(|limit| limit < agents.saturating_add(OTHERS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_short_that_leaves_no_connection_for_some_agent() {
        assert!(!is_short(None, 100_000));
        assert!(!is_short(Some(1024), 992));
        assert!(is_short(Some(1024), 993));
    }
}
