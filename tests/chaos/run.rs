//! The story: every wanted release and kind of queue has a run, and all runs go on side by side.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::arguments::{self, Options, Queue, Wish};
use super::clock;
use super::fault::{Deck, Fault, Kind, Place};
use super::feed::feed;
use super::inject::{inject, stop};
use super::node::Node;
use super::oracle::{Findings, examine};
use super::report;
use super::trial;
use super::world::{RECOVERY_MAX, World};

/// How a run ended.
pub struct Outcome {
    /// Such as `4-quorum`.
    pub name: String,
    pub version: String,
    pub seed: u64,
    /// What happened, and how long it took until all was well again.
    pub faults: Vec<(String, Duration)>,
    pub findings: Findings,
    pub took: Duration,
    /// Where the logs are, if they are kept.
    pub logs: Option<PathBuf>,
}

/// Does what the command line asks for.
pub fn all() -> ExitCode {
    match arguments::parse(std::env::args().skip(1)) {
        Ok(Wish::Help) => println!("{}", arguments::HELP),
        Ok(Wish::Nothing) => println!("{}", report::verdict(0, 0)),
        Ok(Wish::Run(options)) => return run_all(&options),
        Err(problem) => {
            eprintln!("chaos: {problem}\n{}", arguments::HELP);
            return ExitCode::from(64);
        }
    }
    ExitCode::SUCCESS
}

fn run_all(options: &Options) -> ExitCode {
    let failures = trial::failures();
    if !failures.is_empty() {
        println!("{}\n{}", failures.join("\n"), report::verdict(0, failures.len()));
        return ExitCode::FAILURE;
    }
    let present = Node::releases().expect("scripts/broker runs");
    for release in &options.releases {
        if !present.contains(release) {
            println!("\n!! RabbitMQ {release} is not available here: its runs are SKIPPED.\n");
        }
    }
    println!("chaos: seed {}, {} faults in each run", options.seed, options.faults);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, (release, queue)) in combinations().into_iter().enumerate() {
            let is_wanted = options.releases.contains(&release) && options.queues.contains(&queue);
            if is_wanted && present.contains(&release) {
                threads.push(scope.spawn(move || run(options, index, release, queue)));
            }
        }
        threads.into_iter().map(|thread| thread.join().expect("panics are caught")).collect()
    });
    report::tell(options, &outcomes);
    let failed = outcomes.iter().filter(|outcome| !outcome.findings.wrongs.is_empty()).count();
    println!("{}", report::verdict(outcomes.len() - failed, failed));
    // Nothing run is nothing found out.
    if failed == 0 && !outcomes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn combinations() -> [(u8, Queue); 4] {
    [(3, Queue::Classic), (3, Queue::Quorum), (4, Queue::Classic), (4, Queue::Quorum)]
}

/// One run, on a thread of its own; whatever goes wrong is in its findings.
fn run(options: &Options, index: usize, release: u8, queue: Queue) -> Outcome {
    let name = format!("{release}-{}", queue.name());
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = dir.join(format!("target/chaos/{name}-seed-{}", options.seed));
    let began = Instant::now();
    let mut outcome = Outcome {
        name: name.clone(),
        version: String::new(),
        seed: options.seed,
        faults: Vec::new(),
        findings: Findings::default(),
        took: Duration::ZERO,
        logs: None,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let node = Node::start_new(release, &format!("chaos-{}", queue.name()));
        outcome.version.clone_from(&node.broker.version);
        let seed = options.seed.wrapping_add(index as u64);
        runtime.expect("a runtime").block_on(async {
            let world = World::make(options, node, queue, seed, &dir).await?;
            let mut deck = Deck::new(options.seed, &options.only, index * options.faults);
            let result = tokio::select! {
                () = feed(&world.book, &world.vhost, options.rate, &world.tap) => Ok(()),
                result = story(&world, options, &mut deck, &mut outcome) => result,
            };
            outcome.findings = findings(&world, true);
            let failed = result.is_err() || !outcome.findings.wrongs.is_empty();
            if failed || options.keep {
                report::keep(&world, &outcome);
                outcome.logs = Some(world.dir.clone());
            }
            result
        })
    }));
    let problem = match ended {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        // It has been printed where it happened.
        Err(_) => Some("the harness panicked".to_owned()),
    };
    outcome.findings.wrongs.extend(problem.map(|problem| (None, problem)));
    if outcome.logs.is_none() {
        // A log of a run that passed is of no interest; what stays behind is no harm.
        drop(std::fs::remove_dir_all(&dir));
    }
    outcome.took = began.elapsed();
    outcome
}

fn findings(world: &World, is_over: bool) -> Findings {
    examine(&world.book.pages(), &world.record.lock().expect("never poisoned"), is_over)
}

/// Fault after fault, and then an orderly end.
async fn story(
    world: &World,
    options: &Options,
    deck: &mut Deck,
    outcome: &mut Outcome,
) -> Result<(), String> {
    for number in 1..=options.faults {
        let Some(fault) = deck.deal() else { return Err("no such faults".to_owned()) };
        if fault.involves(Kind::BrokerKilled) {
            world.settle().await?;
        }
        // Something has to be under way.
        sleep(Duration::from_millis(300 + fault.choice as u64)).await;
        let said = format!("{} {number}/{}: {}", outcome.name, options.faults, fault.name());
        let recovery = endure(world, &fault).await.map_err(|problem| {
            outcome.faults.push((fault.name(), Duration::ZERO));
            format!("after {said}: {problem}")
        })?;
        println!(
            "{} {said} ({:.1} s), well after {:.1} s, {} confirmed",
            clock::show(clock::now()),
            fault.lasts.as_secs_f64(),
            recovery.as_secs_f64(),
            world.book.pages().entries.len(),
        );
        outcome.faults.push((fault.name(), recovery));
        let has_failed = !world.book.pages().wrongs.is_empty()
            || (fault.kind.place() == Place::Queues && !findings(world, false).wrongs.is_empty());
        if has_failed {
            // What is wrong is known; whether anything is lost as well is not, yet.
            world.drain().await?;
            return Err(format!("stopped after {said}"));
        }
    }
    world.drain().await?;
    stop(world, false).await
}

/// A fault, and the time from its end until all that was published before has been delivered.
async fn endure(world: &World, fault: &Fault) -> Result<Duration, String> {
    inject(world, fault).await?;
    let over = Instant::now();
    let last = world.book.pages().entries.len();
    let waited = timeout(RECOVERY_MAX, world.book.wait_until_done(last)).await;
    let mut daemon = world.daemon.lock().await;
    world.take_news(&mut daemon)?;
    if let Some(status) = daemon.ended() {
        return Err(format!("the daemon has ended by itself: {status}"));
    }
    // A victim is to be told as what it is, and not as late.
    world.collect_dead_letters()?;
    if waited.is_err() {
        let pages = world.book.pages();
        let open = pages.open.range(..=last);
        return Err(format!(
            "liveness: {} messages not delivered {} s after it, the oldest being number {:?}",
            open.clone().count(),
            RECOVERY_MAX.as_secs(),
            open.min(),
        ));
    }
    Ok(over.elapsed())
}
