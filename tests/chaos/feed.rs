//! The publisher: it goes on whatever happens, and knows of each message whether the broker has
//! confirmed it. What was under way when its connection was lost may be there or not: nothing is
//! asked of it, and it is not published again, so that every repeat is the daemon's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::book::Book;
use super::support::Vhost;
use super::wire::{self, Reader, Said, Writer};

/// The most messages without a confirm.
const UNCONFIRMED_MAX: usize = 100;

/// What it is told, and what it tells.
pub struct Tap {
    /// Whether messages are to flow.
    pub open: watch::Sender<bool>,
    /// How many are without a confirm.
    unconfirmed: watch::Sender<usize>,
}

impl Tap {
    pub fn new() -> Tap {
        Tap { open: watch::Sender::new(true), unconfirmed: watch::Sender::new(0) }
    }

    /// Publishes nothing more, and waits until everything is confirmed or lost.
    pub async fn shut(&self) {
        self.open.send_replace(false);
        let mut unconfirmed = self.unconfirmed.subscribe();
        unconfirmed.wait_for(|count| *count == 0).await.expect("the feed goes on");
    }

    pub fn flow(&self) {
        self.open.send_replace(true);
    }
}

/// Publishes `rate` messages a second for ever.
pub async fn feed(book: &Book, vhost: &Vhost, rate: u32, tap: &Tap) {
    loop {
        // An error is an end of the connection, of which there are many.
        drop(session(book, vhost, rate, tap).await);
        tap.unconfirmed.send_replace(0);
        sleep(Duration::from_millis(200)).await;
    }
}

async fn session(book: &Book, vhost: &Vhost, rate: u32, tap: &Tap) -> io::Result<()> {
    let (mut reader, mut writer) = wire::connect(vhost).await?;
    let session = Session {
        book,
        tap,
        unconfirmed: Mutex::default(),
        places: Semaphore::new(UNCONFIRMED_MAX),
    };
    tokio::try_join!(session.write(&mut writer, rate), session.read(&mut reader))?;
    Ok(())
}

struct Session<'a> {
    book: &'a Book,
    tap: &'a Tap,
    /// Numbers of messages by the broker's numbers of them.
    unconfirmed: Mutex<BTreeMap<u64, usize>>,
    places: Semaphore,
}

impl Session<'_> {
    async fn write(&self, writer: &mut Writer, rate: u32) -> io::Result<()> {
        let mut beat = interval(Duration::from_secs(1) / rate);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = self.tap.open.subscribe();
        for tag in 1.. {
            beat.tick().await;
            self.places.acquire().await.expect("never closed").forget();
            // The last wait: from here on to the book nobody can shut the tap.
            open.wait_for(|open| *open).await.expect("the tap is there");
            let (number, letter) = self.book.publish();
            self.unconfirmed.lock().expect("never poisoned").insert(tag, number);
            self.tap.unconfirmed.send_modify(|count| *count += 1);
            writer.publish(&letter.message).await?;
        }
        Ok(())
    }

    async fn read(&self, reader: &mut Reader) -> io::Result<()> {
        loop {
            match reader.next().await? {
                Said::Confirmed { tag, multiple, safe } => self.confirmed(tag, multiple, safe),
                Said::Returned => self.book.wrong(None, "the source queue is not there"),
            }
        }
    }

    fn confirmed(&self, tag: u64, multiple: bool, safe: bool) {
        let mut unconfirmed = self.unconfirmed.lock().expect("never poisoned");
        let tags: Vec<_> = if multiple {
            unconfirmed.range(..=tag).map(|(tag, _)| *tag).collect()
        } else {
            vec![tag]
        };
        for tag in tags {
            let Some(number) = unconfirmed.remove(&tag) else { continue };
            self.places.add_permits(1);
            if safe {
                self.book.confirm(number);
            }
            self.tap.unconfirmed.send_modify(|count| *count -= 1);
        }
    }
}
