//! A contestant that consumes from queues which are empty at first.

use crate::Failure;
use crate::amqp::Client;
use crate::broker::Broker;
use crate::clock::{now_ns, pause_ms};
use crate::contestant::{Contestant, Job, Running};
use crate::load;
use crate::measure::Usage;

const CONSUMING_MS_MAX: u64 = 180_000;
const LOOK_AGAIN_MS: u64 = 10;

/// Consuming from all of its queues. They are deleted when it is stopped.
pub struct Fleet {
    running: Running,
    queues: Vec<String>,
    broker_url: String,
    /// From its start until all queues had their consumer.
    pub start_s: f64,
}

impl Fleet {
    /// Makes the queues, starts the contestant and waits until it consumes from each.
    pub fn start(
        broker: &Broker,
        contestant: &Contestant,
        sink_url: &str,
        queues: Vec<String>,
        window: u16,
        backends: usize,
    ) -> Result<Fleet, Failure> {
        let broker_url = broker.url.clone();
        load::make(&broker_url, &queues)?;
        let job = Job {
            broker_url: broker_url.clone(),
            sink_url: sink_url.to_owned(),
            window,
            queues: queues.clone(),
            backends,
        };
        let begin = now_ns();
        let running = contestant.start(&job)?;
        let mut fleet = Fleet { running, queues, broker_url, start_s: 0.0 };
        fleet.wait_for_consumers()?;
        fleet.start_s = (now_ns() - begin) as f64 / 1e9;
        Ok(fleet)
    }

    /// Asks about one queue until it has its consumer, then about the next: as good as asking about
    /// all the time and again, and hardly any work for the broker.
    fn wait_for_consumers(&mut self) -> Result<(), Failure> {
        let mut client = Client::open(&self.broker_url)?;
        let deadline = now_ns() + CONSUMING_MS_MAX * 1_000_000;
        for queue in &self.queues {
            while client.look_at(queue)?.1 == 0 {
                if let Some(status) = self.running.ended()? {
                    return Err(format!("it ended ({status}):\n{}", self.last_words()).into());
                }
                if now_ns() > deadline {
                    return Err(format!("nobody consumes {queue}:\n{}", self.last_words()).into());
                }
                pause_ms(LOOK_AGAIN_MS);
            }
        }
        client.close()
    }

    /// The first queue.
    pub fn queue(&self) -> &str {
        self.queues.first().map_or("", String::as_str)
    }

    pub fn queues(&self) -> &[String] {
        &self.queues
    }

    pub fn usage(&self) -> Usage {
        self.running.usage()
    }

    fn last_words(&self) -> String {
        self.running.last_words()
    }

    /// Ends it in good order.
    pub fn stop(self) -> Result<(), Failure> {
        let last_words = self.last_words();
        let is_in_order = self.running.stop()?;
        load::clear(&self.broker_url, &self.queues)?;
        if !is_in_order {
            return Err(format!("it does not end in good order:\n{last_words}").into());
        }
        Ok(())
    }
}
