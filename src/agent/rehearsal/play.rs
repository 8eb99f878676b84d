//! The turns of a rehearsal, as [`work`](super::super::work) has them, for one message.

use std::time::Duration;

use tokio::time::Instant;

use super::queue::Queue;
use super::{Ending, Endless, Event, Replies, Step, Story, Wait};
use crate::agent::hold::{Hold, Permit};
use crate::agent::keep_max;
use crate::agent::shared::Shared;
use crate::agent::window::{Done, Held, Over, Window};
use crate::backend::Groups;
use crate::config::definition::AgentDefinition;
use crate::copies::History;
use crate::delivery::{Delivery, Message};
use crate::request::{Template, TemplateError};
use crate::settlement::{Attempts, Policy, Settlement};

/// In the middle: jitter moves nothing.
pub(super) const CHANCE: f64 = 0.5;

/// More steps than anybody reads; a program may.
const STEPS_MAX: usize = 300_000;

/// One message's way, while it is told.
pub(super) struct Play<'d> {
    pub(super) definition: &'d AgentDefinition,
    pub(super) templates: Vec<Template>,
    pub(super) policy: Policy,
    pub(super) hold: Hold,
    pub(super) shared: Shared,
    pub(super) window: Window,
    pub(super) queue: Queue,
    pub(super) replies: Replies,
    pub(super) now: Instant,
    /// How long the last try's backends wish to be left alone.
    pub(super) wish: Wait,
    start: Instant,
    today: u64,
    keep_max: Duration,
    deliveries: u32,
    /// Attempts before the delivery that is held.
    before: u32,
    /// The message in its queue or in a delay queue, and when it is to come.
    coming: Option<(Instant, Message)>,
    steps: Vec<Step>,
    ending: Option<Ending>,
}

impl<'d> Play<'d> {
    pub(super) fn new(
        definition: &'d AgentDefinition,
        replies: Replies,
        today: u64,
    ) -> Result<Self, TemplateError> {
        let templates: Result<_, _> = definition.backends.iter().map(Template::new).collect();
        // It stands for the moment of the first delivery; only differences are told.
        let start = Instant::now();
        Ok(Self {
            definition,
            templates: templates?,
            policy: Policy::of(definition),
            hold: Hold::default(),
            shared: Shared::join(definition, &Groups::default()),
            window: Window::default(),
            queue: Queue::of(definition),
            replies,
            now: start,
            wish: Wait::default(),
            start,
            today,
            keep_max: keep_max(definition),
            deliveries: 0,
            before: 0,
            coming: None,
            steps: Vec::new(),
            ending: None,
        })
    }

    pub(super) fn go(mut self, message: Message) -> Story {
        self.come_after(Duration::ZERO, message);
        let ending = loop {
            if let Some(ending) = self.ending.take() {
                break ending;
            }
            if self.steps.len() >= STEPS_MAX {
                break Ending::Cut;
            }
            if !self.turn() {
                break Ending::Cut;
            }
        };
        for held in self.window.take_all() {
            held.delivery.abandon();
        }
        Story { steps: self.steps, ending, after: self.now - self.start }
    }

    pub(super) fn say(&mut self, event: Event) {
        self.steps.push(Step { at: self.now - self.start, event });
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    pub(super) fn seconds_since_1970(&self) -> u64 {
        self.today.saturating_add((self.now - self.start).as_secs())
    }

    /// The message comes after `wait`: from its queue, or from a delay queue by way of it.
    pub(super) fn come_after(&mut self, wait: Duration, message: Message) {
        self.coming = Some((self.now + wait, message));
    }

    /// One turn; `false` where nothing would ever happen again.
    fn turn(&mut self) -> bool {
        while let Some(over) = self.window.end_waits(self.now) {
            if let Over::Settle(held, settlement) = over {
                self.settle(*held, settlement);
                return true;
            }
        }
        self.heed_others();
        if self.hold.is_kept_too_long(self.keep_max, self.now) {
            self.release();
            return true;
        }
        if !self.hold.is_released()
            && let Some((_, message)) = self.coming.take_if(|(due, _)| *due <= self.now)
        {
            self.receive(message);
        }
        if self.policy.can_requeue {
            // One message: there is no second.
            if let Some(held) = self.window.take_overdue(self.now).pop() {
                self.settle(held, Settlement::Requeue { counted: false });
                return true;
            }
        }
        self.hand_out() || self.ending.is_some() || self.sleep()
    }

    /// Time passes until something is due.
    fn sleep(&mut self) -> bool {
        let now = self.now;
        let coming = self.coming.as_ref().map(|(due, _)| *due);
        let next = [
            self.window.next_due(),
            self.hold.next_change(self.keep_max, now),
            self.shared.next_change(now),
            coming,
        ];
        let next = next.into_iter().flatten().filter(|at| *at > now).min();
        self.now = next.unwrap_or(now);
        next.is_some()
    }

    fn receive(&mut self, mut message: Message) {
        self.deliveries += 1;
        let (number, redelivered) = (self.deliveries, message.redelivered);
        let history = History::take_up(&mut message);
        let attempts = Attempts::after(&history, self.policy.retry.strategy);
        let backends = self.definition.backends.iter();
        let done: Done = backends.map(|backend| history.has(&backend.name)).collect();
        self.before = attempts.before;
        let delivery = Delivery::new(u64::from(number), message);
        self.window.receive(delivery, attempts, history.first_failure, done, self.now);
        self.say(Event::Delivered { number, redelivered });
    }

    fn hand_out(&mut self) -> bool {
        if self.shared.quiet_until(self.now).is_some() {
            return false;
        }
        let permit = self.hold.permit(self.now);
        match permit {
            Permit::Nothing => return false,
            Permit::BareProbe { target } => return self.ask(target),
            Permit::Any | Permit::Probe => {}
        }
        if self.window.ready() == 0 {
            return false;
        }
        let as_probe = permit == Permit::Probe;
        let turns = if as_probe { self.shared.take_turns(self.now) } else { Some(Vec::new()) };
        let Some(turns) = turns else { return false };
        let taken = if as_probe { self.window.take_probe() } else { self.window.take_ready() };
        let Some((key, held)) = taken else { return false };
        let (message, done) = (held.delivery.message().clone(), held.done.clone());
        let attempt = held.attempts.tries().saturating_add(1);
        if as_probe {
            self.hold.probe_sent(Some(key));
            self.shared.probe_sent(Some(key), turns);
        }
        self.attempt(key, &message, attempt, &done, as_probe);
        true
    }

    /// What a settlement comes to; a message that goes back comes again.
    pub(super) fn settle(&mut self, held: Held, settlement: Settlement) {
        let mut message = held.delivery.message().clone();
        held.delivery.abandon();
        let counted = match settlement {
            Settlement::Ack => return self.end(Ending::Delivered),
            Settlement::Discard => return self.end(Ending::Discarded),
            // Copies are told of where they are made.
            Settlement::Replaced(_) => return,
            Settlement::Requeue { counted } => counted,
        };
        match self.queue.take_back(&mut message, counted) {
            Err(limit) => self.end(Ending::DeliveryLimit(limit)),
            Ok(wait) => {
                let history = History::take_up(&mut message.clone());
                let next = Attempts::after(&history, self.policy.retry.strategy);
                let is_ended = counted && self.queue.has_limit();
                if self.replies.repeat() && next.before <= self.before && !is_ended {
                    self.end(Ending::Never(Endless::GoesRound));
                }
                self.come_after(wait, message);
            }
        }
    }

    /// The hold lasts: the message goes back, and no more are asked for.
    fn release(&mut self) {
        self.hold.released(self.now);
        self.say(Event::Released);
        if self.replies.repeat() {
            self.end(Ending::Never(Endless::Held));
        }
        for held in self.window.take_idle() {
            self.settle(held, Settlement::Requeue { counted: false });
        }
    }
}
