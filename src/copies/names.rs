//! The names of the queues that copies wait in, as an operator meets them.

use std::time::Duration;

use crate::config::duration::Shown;

/// The queue in which a message of `queue` waits for `delay`, such as `orders.retry.5s`.
///
/// Different delays never share a queue, since a queue has one delay.
#[must_use]
pub fn delay_queue(queue: &str, delay: Duration) -> String {
    format!("{queue}.retry.{}", Shown(delay))
}

/// The queue for the dead letters of `queue` unless another is named, such as `orders.dead`.
#[must_use]
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_queue_is_named_after_its_source_and_its_delay() {
        assert_eq!(delay_queue("orders", Duration::from_secs(5)), "orders.retry.5s");
        assert_eq!(delay_queue("orders", Duration::from_mins(90)), "orders.retry.1h30m");
        assert_eq!(dead_letter_queue("orders"), "orders.dead");
    }

    #[test]
    fn different_delays_never_share_a_queue() {
        let delays = (1..=7200).flat_map(|count| {
            [Duration::from_millis(count), Duration::from_secs(count), Duration::from_mins(count)]
        });
        let delays: std::collections::BTreeSet<Duration> = delays.collect();
        let names: std::collections::BTreeSet<String> =
            delays.iter().map(|delay| delay_queue("orders", *delay)).collect();
        assert_eq!(names.len(), delays.len());
    }
}
