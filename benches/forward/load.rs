//! Messages: queues that are filled before a run, and a stream at a fixed rate during one.

use std::io::Write;

use crate::Failure;
use crate::amqp::Client;
use crate::clock::{now_ns, pause_ms, sleep_until};

/// A body begins with the time of its publishing: so many digits of nanoseconds.
pub const STAMP_BYTES: usize = 20;

const SETTLING_MS: u64 = 100;

/// The time in front of a body, if there is one.
pub fn stamp_of(head: &[u8]) -> Option<u64> {
    let digits = head.get(..STAMP_BYTES)?;
    digits.iter().try_fold(0_u64, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// In all queues together.
    pub messages: u64,
    pub body_bytes: usize,
}

/// A body of its size, with the time in front as far as that goes.
struct Body(Vec<u8>);

impl Body {
    fn new(bytes: usize) -> Body {
        Body(vec![b'x'; bytes])
    }

    fn stamped(&mut self) -> &[u8] {
        let length = self.0.len().min(STAMP_BYTES);
        let mut stamp = [b'0'; STAMP_BYTES];
        // It cannot be longer: twenty digits hold every u64.
        write!(&mut stamp[..], "{:0width$}", now_ns(), width = STAMP_BYTES).ok();
        self.0[..length].copy_from_slice(&stamp[..length]);
        &self.0
    }
}

/// Makes the queues anew.
pub fn make(url: &str, queues: &[String]) -> Result<(), Failure> {
    let mut client = Client::open(url)?;
    for queue in queues {
        client.delete(queue)?;
        client.declare(queue)?;
    }
    client.close()
}

/// Puts messages into queues, evenly and as fast as they go.
pub fn publish(url: &str, queues: &[String], load: Load) -> Result<(), Failure> {
    let mut client = Client::open(url)?;
    client.confirm()?;
    let mut body = Body::new(load.body_bytes);
    let mut names = queues.iter().cycle();
    for _ in 0..load.messages {
        if let Some(queue) = names.next() {
            client.publish(queue, body.stamped())?;
        }
    }
    client.wait_for_confirms()?;
    client.close()
}

/// Makes queues and fills them.
pub fn fill(url: &str, queues: &[String], load: Load) -> Result<(), Failure> {
    make(url, queues)?;
    publish(url, queues, load)?;
    // What the broker still does for having been filled is nobody's cost.
    pause_ms(SETTLING_MS);
    Ok(())
}

/// Publishes to a queue that is there, `rate` a second for so many messages. A publisher that is
/// late is late with a true time in the message.
pub fn stream(url: &str, queue: &str, load: Load, rate: u64) -> Result<(), Failure> {
    let mut client = Client::open(url)?;
    client.confirm()?;
    let mut body = Body::new(load.body_bytes);
    let begin = now_ns();
    for number in 0..load.messages {
        sleep_until(begin + number * 1_000_000_000 / rate);
        client.publish(queue, body.stamped())?;
        client.flush()?;
    }
    client.wait_for_confirms()?;
    client.close()
}

/// What is still there to be had in the queues, once nobody consumes.
pub fn left(url: &str, queues: &[String]) -> Result<u64, Failure> {
    let mut client = Client::open(url)?;
    let mut left = 0;
    for queue in queues {
        left += u64::from(client.look_at(queue)?.0);
    }
    client.close()?;
    Ok(left)
}

/// Deletes the queues and what the daemon keeps beside them.
pub fn clear(url: &str, queues: &[String]) -> Result<(), Failure> {
    let mut client = Client::open(url)?;
    for queue in queues {
        client.delete(queue)?;
        client.delete(&format!("{queue}.dead"))?;
    }
    client.close()
}
