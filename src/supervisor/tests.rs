//! Lives that panic, give up, and are replaced.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::*;
use crate::agent::Context;
use crate::config::definition::tests;
use crate::config::diff::diff;

fn definition(name: &str) -> Arc<AgentDefinition> {
    Arc::new(tests::definition(name))
}

/// Of another definition.
fn hurried(name: &str) -> Arc<AgentDefinition> {
    Arc::new(AgentDefinition { workers: 7, ..tests::definition(name) })
}

async fn obedient(mut context: Context) -> Finish {
    context.state.send_replace(Said::now(State::Consuming));
    context.orders.wait_for(|order| order.ends()).await.ok();
    Finish::Ordered
}

fn supervisor(life: crate::threads::Life) -> Supervisor {
    let (threads, endings) = Threads::start(NonZeroUsize::MIN, None, life).unwrap();
    Supervisor::new(threads, endings, Duration::from_secs(1))
}

async fn until(supervisor: &mut Supervisor, status: &str) {
    until_lives(supervisor, status, || true).await;
}

async fn until_lives(supervisor: &mut Supervisor, status: &str, lives: impl Fn() -> bool) {
    let seen = async {
        while supervisor.status() != status || !lives() {
            let look_again = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! { () = supervisor.next() => {}, () = look_again => {} }
        }
    };
    let seen = tokio::time::timeout(Duration::from_mins(1), seen).await;
    assert!(seen.is_ok(), "waited for {status:?}");
}

#[tokio::test]
async fn an_agent_that_panics_is_started_again_and_no_other_notices() {
    static LIVES: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    async fn live(definition: Arc<AgentDefinition>, context: Context) -> Finish {
        let is_first = &*definition.name == "first";
        let life = LIVES[usize::from(!is_first)].fetch_add(1, Ordering::SeqCst);
        assert!(!is_first || life > 0, "provoked by the test");
        obedient(context).await
    }
    let life = |definition, context| live(definition, context).boxed_local();
    let mut supervisor = supervisor(life);
    supervisor.apply(diff(&[], &[definition("first"), definition("second")])).await;
    until(&mut supervisor, "2 agents: 2 consuming").await;
    assert_eq!(LIVES[0].load(Ordering::SeqCst), 2);
    assert_eq!(LIVES[1].load(Ordering::SeqCst), 1);
    supervisor.end();
}

#[tokio::test]
async fn a_changed_agent_is_replaced_and_an_unchanged_one_not_touched() {
    static LIVES: AtomicU32 = AtomicU32::new(0);
    fn life(_: Arc<AgentDefinition>, context: Context) -> LocalBoxFuture<'static, Finish> {
        LIVES.fetch_add(1, Ordering::SeqCst);
        obedient(context).boxed_local()
    }
    let mut supervisor = supervisor(life);
    let old = [definition("changing"), definition("staying"), definition("leaving")];
    supervisor.apply(diff(&[], &old)).await;
    until(&mut supervisor, "3 agents: 3 consuming").await;
    let changed = hurried("changing");
    let new = [Arc::clone(&changed), definition("staying")];
    supervisor.apply(diff(&supervisor.definitions(), &new)).await;
    let replaced = || LIVES.load(Ordering::SeqCst) == 4;
    until_lives(&mut supervisor, "2 agents: 2 consuming", replaced).await;
    assert!(supervisor.definitions().contains(&changed));
    supervisor.drain();
    until(&mut supervisor, "no agents").await;
    supervisor.end();
}

#[tokio::test]
async fn an_agent_that_gave_up_stays_down_until_a_reload() {
    fn life(_: Arc<AgentDefinition>, context: Context) -> LocalBoxFuture<'static, Finish> {
        static IS_MENDED: AtomicU32 = AtomicU32::new(0);
        if IS_MENDED.fetch_add(1, Ordering::SeqCst) > 0 {
            return obedient(context).boxed_local();
        }
        async { Finish::GaveUp("max_retries is used up".to_owned()) }.boxed_local()
    }
    let mut supervisor = supervisor(life);
    supervisor.apply(diff(&[], &[definition("one")])).await;
    until(&mut supervisor, "1 agent: 1 stopped").await;
    supervisor.apply(diff(&supervisor.definitions(), &[definition("one")])).await;
    until(&mut supervisor, "1 agent: 1 consuming").await;
    supervisor.end();
}

#[tokio::test]
async fn agents_that_end_while_others_are_started_keep_nobody_waiting() {
    fn life(_: Arc<AgentDefinition>, _: Context) -> LocalBoxFuture<'static, Finish> {
        async { Finish::GaveUp("its certificate cannot be used".to_owned()) }.boxed_local()
    }
    let mut supervisor = supervisor(life);
    let agents: Vec<_> = (0..500).map(|number| definition(&format!("{number}"))).collect();
    let applied = supervisor.apply(diff(&[], &agents));
    let applied = tokio::time::timeout(Duration::from_mins(1), applied).await;
    assert!(applied.is_ok(), "supervisor and thread wait for each other");
    until(&mut supervisor, "500 agents: 500 stopped").await;
    supervisor.end();
}

#[tokio::test]
async fn an_agent_that_gives_up_while_it_is_replaced_begins_as_it_is_now() {
    async fn live(definition: Arc<AgentDefinition>, mut context: Context) -> Finish {
        if definition.workers == 7 {
            return obedient(context).await;
        }
        context.orders.wait_for(|order| *order != Order::Run).await.ok();
        Finish::GaveUp("max_retries was used up just then".to_owned())
    }
    let mut supervisor = supervisor(|definition, context| live(definition, context).boxed_local());
    supervisor.apply(diff(&[], &[definition("one")])).await;
    let mended = hurried("one");
    supervisor.apply(diff(&supervisor.definitions(), &[mended])).await;
    until(&mut supervisor, "1 agent: 1 consuming").await;
    supervisor.end();
}

#[tokio::test]
async fn a_pause_lasts_over_a_replacement_and_a_panic_until_somebody_ends_it() {
    static LIVES: AtomicU32 = AtomicU32::new(0);
    async fn live(_: Arc<AgentDefinition>, mut context: Context) -> Finish {
        let life = LIVES.fetch_add(1, Ordering::SeqCst);
        loop {
            let order = *context.orders.borrow_and_update();
            context.state.send_replace(Said::now(match order {
                Order::Pause => State::Paused,
                Order::Run => State::Consuming,
                Order::Drain(_) | Order::Abort => return Finish::Ordered,
            }));
            assert!(life != 1 || order == Order::Run, "provoked by the test");
            context.orders.changed().await.ok();
        }
    }
    let mut supervisor = supervisor(|definition, context| live(definition, context).boxed_local());
    supervisor.apply(diff(&[], &[definition("one")])).await;
    until(&mut supervisor, "1 agent: 1 consuming").await;
    assert!(!supervisor.pause("other", true));
    assert!(supervisor.pause("one", true));
    until(&mut supervisor, "1 agent: 1 paused").await;
    supervisor.apply(diff(&supervisor.definitions(), &[hurried("one")])).await;
    // The second life panics over it, and the third is paused from its beginning.
    let third = || LIVES.load(Ordering::SeqCst) == 3;
    until_lives(&mut supervisor, "1 agent: 1 paused", third).await;
    assert_eq!(supervisor.view(Instant::now())[0].meters.panics.get(), 1);
    assert!(supervisor.pause("one", false));
    until(&mut supervisor, "1 agent: 1 consuming").await;
    supervisor.end();
}

#[tokio::test]
async fn one_that_gave_up_is_replaced_with_its_counts_and_its_pause() {
    async fn live(definition: Arc<AgentDefinition>, context: Context) -> Finish {
        context.meters.received.add(1);
        if definition.workers != 7 {
            return Finish::GaveUp("its certificate cannot be used".to_owned());
        }
        if *context.orders.borrow() != Order::Pause {
            return obedient(context).await;
        }
        context.state.send_replace(Said::now(State::Paused));
        std::future::pending().await
    }
    let mut supervisor = supervisor(|definition, context| live(definition, context).boxed_local());
    supervisor.apply(diff(&[], &[definition("one")])).await;
    until(&mut supervisor, "1 agent: 1 stopped").await;
    assert!(supervisor.pause("one", true));
    supervisor.apply(diff(&supervisor.definitions(), &[hurried("one")])).await;
    until(&mut supervisor, "1 agent: 1 paused").await;
    assert_eq!(supervisor.view(Instant::now())[0].meters.received.get(), 2);
    supervisor.end();
}
