//! The two ends around the daemon in `scripts/demo`: the HTTP backend and the publisher.
//!
//! ```text
//! demo probe URL                           can this broker be used?
//! demo backend PORT_FILE                   serves until it is ended; GET /counts tells what came
//! demo publish URL EXCHANGE QUEUE COUNT    waits until the queue has a consumer, then publishes orders
//! demo depth URL QUEUE                     how many messages are in the queue
//! demo clean URL EXCHANGE QUEUE...         deletes what the demo has made on the broker
//! ```
//!
//! The backend is a little unreliable on purpose: it fails the first try of every 25th order, which
//! the daemon repeats at once, and the first three of every 60th, which comes again from a delay
//! queue. It refuses every 100th, which becomes a dead letter.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amqprs::BasicProperties;
use amqprs::channel::{
    BasicPublishArguments, Channel, ExchangeDeleteArguments, QueueDeclareArguments,
    QueueDeleteArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

type Failure = Box<dyn Error + Send + Sync>;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const CONSUMER_WAIT_MAX: Duration = Duration::from_secs(30);
const FAILS_LONGER_EVERY: u64 = 60;
const FAILS_FIRST_EVERY: u64 = 25;
const REFUSED_EVERY: u64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["probe", url] => connect(url).await.map(drop),
        ["backend", port_file] => serve(Path::new(port_file)).await,
        ["publish", url, exchange, queue, count] => {
            publish(url, exchange, queue, count.parse()?).await
        }
        ["depth", url, queue] => depth(url, queue).await,
        ["clean", url, exchange, queues @ ..] => clean(url, exchange, queues).await,
        _ => Err("see the top of examples/demo.rs for the arguments".into()),
    }
}

// ------------------------------------------------------------------------------ the broker's side

/// An open channel and the connection that it needs to stay open.
struct Session {
    channel: Channel,
    _connection: Connection,
}

async fn connect(url: &str) -> Result<Session, Failure> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("the broker's URL names no host")?;
    let password = url.password().unwrap_or("guest");
    let user = if url.username().is_empty() { "guest" } else { url.username() };
    let options = OpenConnectionArguments::new(host, url.port().unwrap_or(5672), user, password);
    // Something else than a broker may listen there and never say a word.
    timeout(CONNECT_TIME_MAX, async {
        let connection = Connection::open(&options).await?;
        let channel = connection.open_channel(None).await?;
        Ok(Session { channel, _connection: connection })
    })
    .await?
}

/// Messages and consumers of a queue; `None` when there is no such queue.
async fn look_at(url: &str, queue: &str) -> Result<Option<(u32, u32)>, Failure> {
    // A queue that is not there closes the channel, hence a session for every look.
    let session = connect(url).await?;
    let passive = QueueDeclareArguments::new(queue).passive(true).finish();
    let Ok(found) = session.channel.queue_declare(passive).await else {
        return Ok(None);
    };
    Ok(found.map(|(_, messages, consumers)| (messages, consumers)))
}

async fn publish(url: &str, exchange: &str, queue: &str, count: u64) -> Result<(), Failure> {
    wait_for_consumer(url, queue).await?;
    let session = connect(url).await?;
    // One transaction: when its commit has answered, the broker has every message.
    session.channel.tx_select().await?;
    for number in 1..=count {
        let properties = BasicProperties::default()
            .with_content_type("application/json")
            .with_message_id(&number.to_string())
            .with_persistence(true)
            .finish();
        let order = format!(r#"{{"order": {number}, "item": "teapot"}}"#).into_bytes();
        let route = BasicPublishArguments::new(exchange, "order.created");
        session.channel.basic_publish(properties, order, route).await?;
    }
    session.channel.tx_commit().await?;
    Ok(())
}

/// The daemon declares exchange, queue and binding before it consumes, so a consumer says that all
/// of them are there.
async fn wait_for_consumer(url: &str, queue: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + CONSUMER_WAIT_MAX;
    while !matches!(look_at(url, queue).await?, Some((_, consumers)) if consumers > 0) {
        if Instant::now() > deadline {
            return Err(format!("nobody consumes from {queue}").into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn depth(url: &str, queue: &str) -> Result<(), Failure> {
    let messages = look_at(url, queue).await?.map_or(0, |(messages, _)| messages);
    Ok(writeln!(stdout(), "{messages}")?)
}

async fn clean(url: &str, exchange: &str, queues: &[&str]) -> Result<(), Failure> {
    let session = connect(url).await?;
    for queue in queues {
        session.channel.queue_delete(QueueDeleteArguments::new(queue)).await?;
    }
    session.channel.exchange_delete(ExchangeDeleteArguments::new(exchange)).await?;
    Ok(())
}

// ----------------------------------------------------------------------------- the backend's side

/// What came in so far.
#[derive(Default)]
struct Ledger {
    tries: HashMap<u64, u32>,
    delivered: HashSet<u64>,
    refused: HashSet<u64>,
}

impl Ledger {
    fn answer(&mut self, order: u64) -> StatusCode {
        let tries = self.tries.entry(order).or_default();
        *tries += 1;
        let failures = match order {
            _ if order.is_multiple_of(FAILS_LONGER_EVERY) => 3,
            _ if order.is_multiple_of(FAILS_FIRST_EVERY) => 1,
            _ => 0,
        };
        if order.is_multiple_of(REFUSED_EVERY) {
            self.refused.insert(order);
            StatusCode::UNPROCESSABLE_ENTITY
        } else if *tries <= failures {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            self.delivered.insert(order);
            StatusCode::NO_CONTENT
        }
    }

    fn counts(&self) -> String {
        let (delivered, refused) = (self.delivered.len(), self.refused.len());
        let tried = |tries: fn(u32) -> bool| {
            self.delivered
                .iter()
                .filter(move |order| self.tries.get(order).is_some_and(|n| tries(*n)))
        };
        let (at_once, later) = (tried(|n| n == 2).count(), tried(|n| n > 2).count());
        format!("delivered={delivered}\nat_once={at_once}\nlater={later}\nrefused={refused}\n")
    }
}

async fn serve(port_file: &Path) -> Result<(), Failure> {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    std::fs::write(port_file, listener.local_addr()?.port().to_string())?;
    let mut clients = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        clients.spawn(serve_client(client, Arc::clone(&ledger)));
        // The ones that have left.
        while clients.try_join_next().is_some() {}
    }
}

async fn serve_client(client: TcpStream, ledger: Arc<Mutex<Ledger>>) {
    let service = service_fn(|request| reply(request, &ledger));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(client), service)
        .await;
    // The daemon drops its connections when it stops; nobody is interested.
    drop(served);
}

async fn reply(
    request: Request<Incoming>,
    ledger: &Mutex<Ledger>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/counts") => (StatusCode::OK, locked(ledger).counts()),
        (&Method::POST, "/orders") => match order_number(request).await {
            Some(order) => (locked(ledger).answer(order), String::new()),
            None => (StatusCode::BAD_REQUEST, "not an order".to_owned()),
        },
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    Ok(response)
}

fn locked(ledger: &Mutex<Ledger>) -> impl std::ops::DerefMut<Target = Ledger> + '_ {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn order_number(request: Request<Incoming>) -> Option<u64> {
    let body = request.into_body().collect().await.ok()?.to_bytes();
    serde_json::from_slice::<serde_json::Value>(&body).ok()?.get("order")?.as_u64()
}
