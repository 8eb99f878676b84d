use std::fmt;

use tokio::task::LocalSet;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, layer, registry};

use super::*;
use crate::broker::tests::{BASIC_CANCEL, CHANNEL_CLOSE, CONNECTION_CLOSE, Method, Peer, broker};
use crate::config::definition::{Argument, tests::definition};

fn context(orders: watch::Receiver<Order>, state: watch::Sender<Said>) -> Context {
    Context {
        clients: Rc::default(),
        groups: Arc::default(),
        publishers: Rc::default(),
        tracer: None,
        orders,
        state,
        meters: Arc::default(),
    }
}

/// What an agent does seldom, to connect or to drain, is not to take up memory for its life.
#[test]
fn a_thousand_agents_take_little_memory_for_what_they_do_seldom() {
    let (_, orders) = watch::channel(Order::Run);
    let (state, _) = watch::channel(Said::now(State::Connecting));
    let life = run(Arc::new(definition("idle")), context(orders, state));
    assert!(size_of_val(&life) <= 8 * 1024, "{} bytes", size_of_val(&life));
}

#[test]
fn a_hold_never_leaves_a_queue_without_consumer_that_does_not_outlive_it() {
    let lasting = definition("lasting");
    assert_eq!(keep_max(&lasting), lasting.hold_max);
    let mut deleted = definition("deleted");
    deleted.source.queue.auto_delete = true;
    let mut expiring = definition("expiring");
    let half_an_hour = Argument::Integer(1_800_000);
    expiring.source.queue.arguments.insert("x-expires".to_owned(), half_an_hour);
    for definition in [deleted, expiring] {
        assert!(keep_max(&definition) > Duration::from_hours(24 * 365), "{definition:?}");
    }
}

/// Does something in the midst of the line of the log that has this text.
struct AtLine<F>(&'static str, F);

impl<S: tracing::Subscriber, F: Fn() + 'static> Layer<S> for AtLine<F> {
    fn on_event(&self, event: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        if text.0 == self.0 {
            self.1();
        }
    }
}

/// How an agent ends that gets `order` in the midst of saying that it consumes, the state in which
/// others find it then, and what the broker hears of it next.
async fn ordered_at_consuming(order: Order) -> (Finish, State, Option<Method>) {
    let (listener, definition) = broker().await;
    let (give, orders) = watch::channel(Order::Run);
    let (say, said) = watch::channel(Said::now(State::Connecting));
    let (seen, found) = watch::channel(State::Connecting);
    let at_line = AtLine("consuming", move || {
        seen.send_replace(said.borrow().state.clone());
        give.send_replace(order);
    });
    let _guard = tracing::subscriber::set_default(registry().with(at_line));
    let answers = async {
        let mut peer = Peer::until(&listener, (0, 0)).await;
        let mut first = None;
        while let Some((class, method)) = peer.receive().await {
            first.get_or_insert((class, method));
            match (class, method) {
                BASIC_CANCEL => peer.send(1, (class, method + 1), b"\x03tag").await,
                CHANNEL_CLOSE => peer.send(1, (class, method + 1), b"").await,
                CONNECTION_CLOSE => peer.send(0, (class, method + 1), b"").await,
                _ => {}
            }
        }
        first
    };
    let life = run(Arc::new(definition), context(orders, say));
    let both = Box::pin(async { tokio::join!(life, answers) });
    let (finish, first) = LocalSet::new().run_until(both).await;
    (finish, found.borrow().clone(), first)
}

#[tokio::test]
async fn an_order_that_comes_while_a_session_begins_is_heard() {
    for order in [Order::Drain(Duration::from_mins(1)), Order::Abort] {
        let (finish, state, first) = ordered_at_consuming(order).await;
        assert_eq!(finish, Finish::Ordered);
        assert_eq!(first, Some(BASIC_CANCEL), "it ends by the order, and not with the session");
        assert_eq!(state, State::Consuming, "whoever reads the line finds that it is so");
    }
}
