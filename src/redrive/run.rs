//! One run: takes, publishes, acks; and stops so that nothing is lost.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, interval, sleep_until};

use super::selection::{self, Origin, Verdict};
use super::{Count, Plan, Progress, Report, Stop, WINDOW};
use crate::broker::{Ended, NotSafe, Publisher, Taker};
use crate::copies;
use crate::delivery::{Delivery, Field, Message};
use crate::pace::Pace;
use crate::signals::Signals;

/// The longest that a message is held: well below RabbitMQ's `consumer_timeout` of 30 min, which
/// ends the session.
const HELD_MAX: Duration = Duration::from_mins(20);

/// A message that was handed out so often is not given back once more where the broker may have a
/// delivery limit of 20, which is its own since RabbitMQ 4.0.
const GIVEN_BACK_MAX: i64 = 15;

/// How often it is shown how far it got.
const SHOW_INTERVAL: Duration = Duration::from_millis(200);

/// A copy under way, and which it is.
type Moving = Pin<Box<dyn Future<Output = (u64, Result<(), NotSafe>)>>>;

pub(super) struct Run<'p> {
    plan: &'p Plan,
    taker: Taker,
    publisher: Publisher,
    pace: Pace,
    count: Count,
    moving: FuturesUnordered<Moving>,
    /// The dead letters whose copies are under way, each with the name of its reason.
    waiting: HashMap<u64, (Delivery, String)>,
    /// When the first message was passed over, which is held since.
    held_since: Option<Instant>,
    stop: Option<Stop>,
    /// Once it is stopped by a signal: when copies under way are waited for no more.
    give_up_at: Option<Instant>,
    twice: usize,
}

impl<'p> Run<'p> {
    pub(super) fn new(plan: &'p Plan, taker: Taker, found: u64, publisher: Publisher) -> Self {
        Self {
            plan,
            taker,
            publisher,
            pace: Pace::new(plan.rate),
            count: Count::of(found),
            moving: FuturesUnordered::new(),
            waiting: HashMap::new(),
            held_since: None,
            stop: None,
            give_up_at: None,
            twice: 0,
        }
    }

    /// Runs to its end.
    pub(super) async fn go(mut self, signals: &mut Signals, progress: &mut Progress) -> Report {
        let mut show = interval(SHOW_INTERVAL);
        loop {
            let wants_more = self.wants_more();
            if !wants_more && self.moving.is_empty() {
                break;
            }
            let may_take = wants_more && self.moving.len() < WINDOW;
            let turn = self.pace.wait(Instant::now());
            tokio::select! {
                biased;
                // A terminal that is closed wants the end as well.
                _ = signals.next() => if self.asked_to_stop() { return self.at_once() },
                Some((key, told)) = self.moving.next() => self.moved(key, told).await,
                taken = self.taker.take(), if may_take && turn.is_none() => self.taken(taken),
                () = until(turn), if may_take => {}
                () = until(self.held_since.map(|since| since + HELD_MAX)), if wants_more => {
                    self.stop = Some(Stop::HeldForLong);
                }
                () = until(self.give_up_at) => break,
                _ = show.tick() => progress.show(&self.count),
            }
        }
        self.leave(signals).await
    }

    fn wants_more(&mut self) -> bool {
        let is_done = self.count.total.looked_at >= self.count.found;
        let is_limit = self.plan.limit.is_some_and(|limit| self.count.total.selected >= limit);
        if self.stop.is_none() && (is_limit || is_done) {
            self.stop = Some(if is_limit { Stop::Limit } else { Stop::Done });
        }
        self.stop.is_none()
    }

    /// Takes in a signal; whether it was one more, which ends everything at once.
    fn asked_to_stop(&mut self) -> bool {
        let is_first = self.give_up_at.is_none();
        self.give_up_at.get_or_insert(Instant::now() + self.plan.finish_max);
        // What was decided before stays the reason, unless it was no trouble.
        if self.stop.as_ref().is_none_or(Stop::is_fine) {
            self.stop = Some(Stop::Asked);
        }
        !is_first
    }

    fn taken(&mut self, taken: Result<Option<Delivery>, Ended>) {
        match taken {
            Ok(Some(delivery)) => self.look_at(delivery),
            // Somebody else took the others.
            Ok(None) => {
                self.count.found = self.count.total.looked_at;
                self.stop = Some(Stop::Done);
            }
            Err(reason) => self.lost(reason),
        }
    }

    fn look_at(&mut self, delivery: Delivery) {
        let (plan, message) = (self.plan, delivery.message());
        let reason = self.count.looked_at(selection::reason(message));
        let origin = Origin { agent: &plan.agent, queue: &plan.to };
        match plan.selection.judge(message, origin, seconds_since_1970()) {
            Verdict::Selected => {
                self.count.selected(&reason, message.properties.message_id());
                if !plan.dry_run {
                    return self.publish(delivery, reason);
                }
            }
            Verdict::PassedOver => {}
            Verdict::Foreign => self.count.foreign += 1,
        }
        self.hold(delivery);
    }

    fn publish(&mut self, delivery: Delivery, reason: String) {
        self.pace.pass(Instant::now());
        let copy = copies::afresh(delivery.message(), &self.plan.to, self.plan.to_all);
        let (key, publisher) = (self.count.total.looked_at, self.publisher.clone());
        self.waiting.insert(key, (delivery, reason));
        self.moving.push(Box::pin(async move { (key, publisher.publish(copy).await) }));
    }

    /// Leaves a message unsettled: it goes back with all others at the end.
    fn hold(&mut self, delivery: Delivery) {
        let message = delivery.message();
        let times = given_back(message);
        if times >= GIVEN_BACK_MAX && self.taker.server().is_rabbitmq_since(4, 0) {
            let id = message.properties.message_id().map(str::to_owned);
            self.stop = Some(Stop::GivenBackOften { id, times });
        }
        self.held_since.get_or_insert(Instant::now());
        self.taker.hold(delivery);
    }

    /// A copy is safe, and its dead letter acked; or it is not, and no more is taken.
    async fn moved(&mut self, key: u64, told: Result<(), NotSafe>) {
        let Some((delivery, reason)) = self.waiting.remove(&key) else { return };
        match told {
            Ok(()) if self.is_lost() => {
                self.twice += 1;
                delivery.abandon();
            }
            Ok(()) => match self.taker.ack(delivery).await {
                Ok(()) => self.count.moved(&reason),
                Err(ended) => {
                    self.twice += 1;
                    self.lost(ended);
                }
            },
            Err(not_safe) => {
                delivery.abandon();
                // The others tell that the copy is nowhere.
                self.twice += usize::from(matches!(not_safe, NotSafe::Ended(_)));
                if self.stop.as_ref().is_none_or(Stop::is_fine) {
                    self.stop = Some(Stop::NotSafe(not_safe));
                }
            }
        }
    }

    fn is_lost(&self) -> bool {
        matches!(self.stop, Some(Stop::Lost(_)))
    }

    /// The dead letters that are not acked by now are the broker's again.
    fn lost(&mut self, reason: Ended) {
        self.give_up_at.get_or_insert(Instant::now() + self.plan.finish_max);
        self.stop = Some(Stop::Lost(reason));
    }

    /// Gives back what was not moved; a signal ends that too.
    async fn leave(mut self, signals: &mut Signals) -> Report {
        self.give_up_waiting();
        let is_lost = self.is_lost();
        let counts = self.plan.from_quorum;
        let Self { taker, count, twice, stop, .. } = self;
        let stop = stop.unwrap_or(Stop::Done);
        let left = tokio::select! {
            biased;
            left = taker.leave(counts) => left.map_err(Stop::Lost),
            _ = signals.next() => Err(Stop::Asked),
        };
        match left {
            Ok(()) => Report { count, stop, twice_max: twice },
            // The last acks may not have been heard: with the copies under way never more than a
            // window, since each answer of the broker says that it heard those before.
            Err(_) if is_lost || !stop.is_fine() => Report { count, stop, twice_max: WINDOW },
            Err(stop) => Report { count, stop, twice_max: WINDOW },
        }
    }

    fn at_once(mut self) -> Report {
        self.give_up_waiting();
        let stop = self.stop.unwrap_or(Stop::Asked);
        Report { count: self.count, stop, twice_max: WINDOW }
    }

    /// Copies that are under way may be safe, and nobody waits for their confirms.
    fn give_up_waiting(&mut self) {
        for (_, (delivery, _)) in self.waiting.drain() {
            self.twice += 1;
            delivery.abandon();
        }
    }
}

/// How often the queue counted it as given back.
fn given_back(message: &Message) -> i64 {
    let Some(Field::Integer(times)) = message.properties.header("x-delivery-count") else {
        return 0;
    };
    times
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
