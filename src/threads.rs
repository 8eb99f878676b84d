//! The threads that agents live on, each with a runtime of its own.
//!
//! An agent is started on one thread and never leaves it. A thread that stands still is
//! noticed by the supervisor, which asks each for a sign of life.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinError, JoinSet};

use crate::agent::{Context, Finish, Order, Said};
use crate::backend::{Clients, Groups};
use crate::broker::Publishers;
use crate::config::definition::AgentDefinition;
use crate::meters::Meters;
use crate::spans::Tracer;

/// Commands that may wait for a thread.
const QUEUE: usize = 64;

/// Names one life of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LifeId(pub u64);

/// A life to be lived.
pub struct Start {
    /// Its name among all lives.
    pub id: LifeId,
    /// Which agent.
    pub definition: Arc<AgentDefinition>,
    /// What the supervisor wants of it.
    pub orders: watch::Receiver<Order>,
    /// Where it says what it is doing.
    pub state: watch::Sender<Said>,
    /// What it counts.
    pub meters: Arc<Meters>,
}

/// A life that is over.
#[derive(Debug)]
pub struct Ending {
    /// Which one.
    pub id: LifeId,
    /// How it ended; `Err` is a panic, with its text.
    pub how: Result<Finish, String>,
}

/// What a life is made of: [`agent::run`](crate::agent::run), or what a test puts in its place.
pub type Life = fn(Arc<AgentDefinition>, Context) -> LocalBoxFuture<'static, Finish>;

enum Command {
    Start(Start),
    SignOfLife(oneshot::Sender<()>),
}

/// All threads.
pub struct Threads {
    threads: Vec<Thread>,
    next: usize,
}

/// What the agents of all threads share.
type Shared = (Arc<Groups>, Option<Tracer>);

struct Thread {
    commands: mpsc::Sender<Command>,
    handle: std::thread::JoinHandle<()>,
}

impl Threads {
    /// Starts `count` threads that live lives by `life`; the endings come out of the receiver.
    ///
    /// Where there is a `tracer`, the agents make spans with it. A thread never waits for the supervisor, which waits for the thread to take a command.
    ///
    /// # Errors
    /// When the system gives no thread, or a runtime cannot be made.
    #[expect(
        clippy::disallowed_methods,
        reason = "each life has one ending, which is limit enough"
    )]
    pub fn start(
        count: NonZeroUsize,
        tracer: Option<&Tracer>,
        life: Life,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Ending>)> {
        let (endings, received) = mpsc::unbounded_channel();
        let groups = Arc::new(Groups::default());
        let start = |number| {
            let shared = (Arc::clone(&groups), tracer.cloned());
            Thread::start(number, life, endings.clone(), shared)
        };
        let threads = (0..count.get()).map(start);
        Ok((Self { threads: threads.collect::<io::Result<_>>()?, next: 0 }, received))
    }

    /// Starts a life, on one thread after the other.
    pub async fn live(&mut self, start: Start) {
        let thread = &self.threads[self.next % self.threads.len()];
        self.next = self.next.wrapping_add(1);
        // A thread ends only when its commands do.
        thread.commands.send(Command::Start(start)).await.ok();
    }

    /// Returns once every thread has given a sign of life.
    pub async fn signs_of_life(&self) {
        for thread in &self.threads {
            let (sign, received) = oneshot::channel();
            thread.commands.send(Command::SignOfLife(sign)).await.ok();
            received.await.ok();
        }
    }

    /// Ends all threads and waits for them; what still lives is dropped.
    pub fn end(self) {
        for Thread { commands, handle } in self.threads {
            drop(commands);
            // A panic of a thread's own was told by the hook.
            handle.join().ok();
        }
    }
}

impl Thread {
    fn start(
        number: usize,
        life: Life,
        endings: mpsc::UnboundedSender<Ending>,
        shared: Shared,
    ) -> io::Result<Self> {
        let (commands, received) = mpsc::channel(QUEUE);
        let (made, runtime_made) = std::sync::mpsc::sync_channel(1);
        let body = move || {
            let runtime = match runtime() {
                Ok(runtime) => runtime,
                Err(error) => return made.send(Err(error)).unwrap_or_default(),
            };
            // Nobody waits for it any more if this fails.
            made.send(Ok(())).unwrap_or_default();
            runtime.block_on(lives(received, endings, shared, life));
            // A name look-up that hangs must not keep the daemon from ending.
            runtime.shutdown_background();
        };
        let handle = std::thread::Builder::new().name(format!("agents-{number}")).spawn(body)?;
        runtime_made
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
        Ok(Self { commands, handle })
    }
}

/// A runtime whose tasks stay on this thread, and stand in its own queue: those of a `LocalSet`
/// would cost each wake-up of an idle thread a look at the sockets more.
fn runtime() -> io::Result<LocalRuntime> {
    let options = tokio::runtime::LocalOptions::default();
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(options)
}

/// The story of one thread: start lives as told, tell how they end, until nobody tells more.
async fn lives(
    mut commands: mpsc::Receiver<Command>,
    endings: mpsc::UnboundedSender<Ending>,
    (groups, tracer): Shared,
    life: Life,
) {
    let clients = Rc::new(RefCell::new(Clients::default()));
    let publishers = Rc::new(RefCell::new(Publishers::default()));
    let mut ids = HashMap::new();
    let mut lives = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Start(Start { id, definition, orders, state, meters })) => {
                    let (clients, publishers) = (Rc::clone(&clients), Rc::clone(&publishers));
                    let groups = Arc::clone(&groups);
                    let tracer = tracer.clone();
                    let context =
                        Context { clients, groups, publishers, tracer, orders, state, meters };
                    let task = lives.spawn_local(life(definition, context));
                    ids.insert(task.id(), id);
                }
                // Nobody waits for it any more if this fails.
                Some(Command::SignOfLife(sign)) => sign.send(()).unwrap_or_default(),
                // Dropped here and not with the thread's last things: a session that is dropped
                // starts a task that closes its connection, for which there has to be a runtime.
                None => {
                    lives.shutdown().await;
                    let publishers = publishers.take();
                    return publishers.end().await;
                }
            },
            Some(ended) = lives.join_next_with_id() => {
                let (task, how) = ending(ended);
                if let Some(id) = ids.remove(&task) {
                    endings.send(Ending { id, how }).ok();
                }
            }
        }
    }
}

fn ending(ended: Result<(task::Id, Finish), JoinError>) -> (task::Id, Result<Finish, String>) {
    match ended {
        Ok((task, finish)) => (task, Ok(finish)),
        Err(error) => (error.id(), Err(error.to_string())),
    }
}
