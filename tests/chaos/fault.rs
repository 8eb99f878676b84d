//! What can go wrong, and in which order it does: a pure function of the seed.

use std::time::Duration;

use fastrand::Rng;

/// One fault, or two at once.
#[derive(Debug, Clone)]
pub struct Fault {
    pub kind: Kind,
    /// How long it lasts, where it is not over by itself.
    pub lasts: Duration,
    /// Moves what is left open: which backend, which direction.
    pub choice: usize,
    /// A second one, elsewhere, that begins in the midst of the first.
    pub beside: Option<Box<Fault>>,
}

impl Fault {
    pub fn name(&self) -> String {
        match &self.beside {
            None => self.kind.name().to_owned(),
            Some(beside) => format!("{} + {}", self.kind.name(), beside.name()),
        }
    }

    /// Whether it is of this kind, or the one beside it is.
    pub fn involves(&self, kind: Kind) -> bool {
        self.kind == kind || self.beside.as_ref().is_some_and(|beside| beside.kind == kind)
    }
}

/// Where a fault is. Two at once are in two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Daemon,
    Broker,
    BrokerLeg,
    BackendLeg,
    Backend,
    /// At the broker, while nothing is published and all queues are empty.
    Queues,
}

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Every connection is closed, and new ones are refused.
    Cut,
    /// Every connection is reset once.
    Reset,
    /// Nothing passes, and connections stay open.
    Stalled,
    /// Nothing passes in one direction, or one direction is closed.
    HalfOpen,
    /// A few KiB every 50 ms.
    Slow,
    /// From one octet on every bit is turned over.
    Corrupted,
}

/// What a backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Refusing,
    ResetBefore,
    ResetAfter,
    Hanging,
    Status(u16),
    /// 429 with `Retry-After: 1`.
    Busy,
    Garbage,
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    DaemonKilled,
    DaemonTerminated,
    ReloadedSame,
    ReloadedChanged,
    ReloadedBroken,
    BrokerStopped,
    BrokerKilled,
    MemoryAlarm,
    ConsumingClosed,
    PublishingClosed,
    SourceDeleted,
    DelaysDeleted,
    DeadLettersDeleted,
    BrokerLeg(Harm),
    BackendLeg(Harm),
    Backend(Mood),
}

impl Kind {
    pub const ALL: [Kind; 37] = [
        Kind::DaemonKilled,
        Kind::DaemonTerminated,
        Kind::ReloadedSame,
        Kind::ReloadedChanged,
        Kind::ReloadedBroken,
        Kind::BrokerStopped,
        Kind::BrokerKilled,
        Kind::MemoryAlarm,
        Kind::ConsumingClosed,
        Kind::PublishingClosed,
        Kind::SourceDeleted,
        Kind::DelaysDeleted,
        Kind::DeadLettersDeleted,
        Kind::BrokerLeg(Harm::Cut),
        Kind::BrokerLeg(Harm::Reset),
        Kind::BrokerLeg(Harm::Stalled),
        Kind::BrokerLeg(Harm::HalfOpen),
        Kind::BrokerLeg(Harm::Slow),
        Kind::BrokerLeg(Harm::Corrupted),
        Kind::BackendLeg(Harm::Cut),
        Kind::BackendLeg(Harm::Reset),
        Kind::BackendLeg(Harm::Stalled),
        Kind::BackendLeg(Harm::HalfOpen),
        Kind::BackendLeg(Harm::Slow),
        Kind::BackendLeg(Harm::Corrupted),
        Kind::Backend(Mood::Refusing),
        Kind::Backend(Mood::ResetBefore),
        Kind::Backend(Mood::ResetAfter),
        Kind::Backend(Mood::Hanging),
        Kind::Backend(Mood::Status(500)),
        Kind::Backend(Mood::Status(503)),
        Kind::Backend(Mood::Status(401)),
        Kind::Backend(Mood::Status(404)),
        Kind::Backend(Mood::Busy),
        Kind::Backend(Mood::Garbage),
        Kind::Backend(Mood::Endless),
        // A kill is what most is learned from.
        Kind::DaemonKilled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::DaemonKilled => "daemon killed",
            Self::DaemonTerminated => "daemon terminated",
            Self::ReloadedSame => "daemon reloaded",
            Self::ReloadedChanged => "daemon reloaded, agent changed",
            Self::ReloadedBroken => "daemon reloaded, file broken",
            Self::BrokerStopped => "broker stopped",
            Self::BrokerKilled => "broker killed",
            Self::MemoryAlarm => "broker's memory alarm",
            Self::ConsumingClosed => "consuming connection closed by the broker",
            Self::PublishingClosed => "publishing connection closed by the broker",
            Self::SourceDeleted => "source queue deleted",
            Self::DelaysDeleted => "delay queues deleted",
            Self::DeadLettersDeleted => "dead-letter queue deleted",
            Self::BrokerLeg(Harm::Cut) => "broker's network cut",
            Self::BrokerLeg(Harm::Reset) => "broker's network reset",
            Self::BrokerLeg(Harm::Stalled) => "broker's network stalled",
            Self::BrokerLeg(Harm::HalfOpen) => "broker's network half-open",
            Self::BrokerLeg(Harm::Slow) => "broker's network slow",
            Self::BrokerLeg(Harm::Corrupted) => "broker's network corrupted",
            Self::BackendLeg(Harm::Cut) => "backend's network cut",
            Self::BackendLeg(Harm::Reset) => "backend's network reset",
            Self::BackendLeg(Harm::Stalled) => "backend's network stalled",
            Self::BackendLeg(Harm::HalfOpen) => "backend's network half-open",
            Self::BackendLeg(Harm::Slow) => "backend's network slow",
            Self::BackendLeg(Harm::Corrupted) => "backend's network corrupted",
            Self::Backend(Mood::Refusing) => "backend refusing connections",
            Self::Backend(Mood::ResetBefore) => "backend resetting before reading",
            Self::Backend(Mood::ResetAfter) => "backend resetting after reading",
            Self::Backend(Mood::Hanging) => "backend hanging",
            Self::Backend(Mood::Status(401)) => "backend answering 401",
            Self::Backend(Mood::Status(404)) => "backend answering 404",
            Self::Backend(Mood::Status(503)) => "backend answering 503",
            Self::Backend(Mood::Status(_)) => "backend answering 500",
            Self::Backend(Mood::Busy) => "backend answering 429, Retry-After",
            Self::Backend(Mood::Garbage) => "backend answering garbage",
            Self::Backend(Mood::Endless) => "backend answering without end",
        }
    }

    pub fn place(self) -> Place {
        match self {
            Self::DaemonKilled
            | Self::DaemonTerminated
            | Self::ReloadedSame
            | Self::ReloadedChanged
            | Self::ReloadedBroken => Place::Daemon,
            Self::BrokerStopped
            | Self::BrokerKilled
            | Self::MemoryAlarm
            | Self::ConsumingClosed
            | Self::PublishingClosed => Place::Broker,
            Self::SourceDeleted | Self::DelaysDeleted | Self::DeadLettersDeleted => Place::Queues,
            Self::BrokerLeg(_) => Place::BrokerLeg,
            Self::BackendLeg(_) => Place::BackendLeg,
            Self::Backend(_) => Place::Backend,
        }
    }

    /// The longest that it may last, in milliseconds.
    ///
    /// While a backend or its network fails, messages use up their attempts, and those that are
    /// innocent must not run out of them: see `ladder` in `world`. The others cost no attempts,
    /// and go on for long enough that heartbeats and health checks notice.
    fn lasts_max(self) -> u64 {
        match self.place() {
            // Few attempts are made of these, and so few waits.
            Place::Backend if self == Self::Backend(Mood::Status(404)) => 600,
            Place::BrokerLeg => 9000,
            Place::BackendLeg | Place::Backend | Place::Daemon | Place::Broker | Place::Queues => {
                3000
            }
        }
    }
}

/// Deals the faults of a run: every kind comes before any comes again.
pub struct Deck {
    rng: Rng,
    kinds: Vec<Kind>,
    left: Vec<Kind>,
}

impl Deck {
    /// The deck of `seed`. `skip` faults are passed over, so that short runs of the same seed
    /// side by side show different ones.
    pub fn new(seed: u64, only: &[String], skip: usize) -> Deck {
        let is_wanted = |kind: &Kind| {
            only.is_empty() || only.iter().any(|word| kind.name().contains(word.as_str()))
        };
        let kinds = Kind::ALL.into_iter().filter(is_wanted).collect();
        let mut deck = Deck { rng: Rng::with_seed(seed), kinds, left: Vec::new() };
        for _ in 0..skip {
            deck.deal();
        }
        deck
    }

    /// The next fault; `None` when no kind is wanted.
    pub fn deal(&mut self) -> Option<Fault> {
        let kind = self.draw()?;
        let mut fault = self.of(kind);
        let beside = self.rng.usize(..Kind::ALL.len());
        let beside = self.of(Kind::ALL[beside]);
        let is_alone = |kind: Kind| kind.place() == Place::Queues;
        if self.rng.u32(..6) == 0
            && self.kinds.len() == Kind::ALL.len()
            && beside.kind.place() != kind.place()
            && !is_alone(kind)
            && !is_alone(beside.kind)
        {
            fault.beside = Some(Box::new(beside));
        }
        Some(fault)
    }

    fn draw(&mut self) -> Option<Kind> {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
            self.rng.shuffle(&mut self.left);
        }
        self.left.pop()
    }

    fn of(&mut self, kind: Kind) -> Fault {
        let lasts = Duration::from_millis(self.rng.u64(200..kind.lasts_max()));
        Fault { kind, lasts, choice: self.rng.usize(..1000), beside: None }
    }
}
