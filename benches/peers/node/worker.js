// A hand-written worker: amqplib in, undici out.
//
//     node worker.js AMQP_URL SINK_URL WINDOW QUEUE [QUEUE...]
//
// Each message is one POST. A 2xx acknowledges it; anything else puts it back after a pause, which
// it waits out inside the window.
'use strict';

const amqp = require('amqplib');
const { Client } = require('undici');

const REPLY_DEADLINE_MS = 30_000;
const RETRY_PAUSE_MS = 1_000;
const HEADERS = ['content-type', 'application/octet-stream'];

// One connection for each place of the windows, with one request at a time. The one used last comes
// first. undici's Pool does the same, with a search through all connections for each request.
class Connections {
  constructor(sink) {
    const url = new URL(sink);
    this.origin = url.origin;
    this.path = url.pathname + url.search;
    this.free = [];
    this.all = [];
  }

  post(body, done) {
    const client = this.free.pop() ?? this.open();
    client.dispatch(
      { path: this.path, method: 'POST', headers: HEADERS, body },
      new Reply((ok) => {
        this.free.push(client);
        done(ok);
      }),
    );
  }

  open() {
    const client = new Client(this.origin, {
      pipelining: 1,
      headersTimeout: REPLY_DEADLINE_MS,
      bodyTimeout: REPLY_DEADLINE_MS,
    });
    this.all.push(client);
    return client;
  }

  close() {
    return Promise.all(this.all.map((client) => client.close()));
  }
}

// The handler that undici's core calls itself; those of the newer kind, and request(), wrap it.
class Reply {
  constructor(done) {
    this.done = done;
    this.status = 0;
  }

  onConnect() {}

  onHeaders(status) {
    this.status = status;
    return true;
  }

  onData() {
    return true;
  }

  onComplete() {
    this.done(this.status >= 200 && this.status < 300);
  }

  onError() {
    this.done(false);
  }
}

const IN_FLIGHT = 0;
const DONE = 1;
const SETTLED = 2;

// Settles what one channel delivered. What got done in one turn of the event loop is acknowledged
// together, as an unbroken run from the oldest on. So that a slow one does not keep the window full
// of finished ones, those behind it go singly once they are a quarter of the window.
class Settlements {
  constructor(channel, window) {
    this.channel = channel;
    this.stragglersMax = window >> 2;
    this.deliveries = [];
    this.head = 0;
    this.finished = 0;
    this.flushing = false;
    this.flush = this.flush.bind(this);
  }

  take(message) {
    const delivery = { message, state: IN_FLIGHT };
    this.deliveries.push(delivery);
    return delivery;
  }

  ack(delivery) {
    delivery.state = DONE;
    this.finished += 1;
    this.flushSoon();
  }

  putBack(delivery) {
    this.channel.nack(delivery.message, false, true);
    delivery.state = SETTLED;
    this.flushSoon();
  }

  flushSoon() {
    if (!this.flushing) {
      this.flushing = true;
      setImmediate(this.flush);
    }
  }

  flush() {
    this.flushing = false;
    const { deliveries } = this;
    let last = null;
    for (; this.head < deliveries.length && deliveries[this.head].state !== IN_FLIGHT; this.head += 1) {
      if (deliveries[this.head].state === DONE) {
        last = deliveries[this.head];
        this.finished -= 1;
      }
    }
    if (last !== null) this.channel.ack(last.message, true);
    if (this.finished > this.stragglersMax) {
      for (let i = this.head; i < deliveries.length; i += 1) {
        if (deliveries[i].state === DONE) {
          this.channel.ack(deliveries[i].message);
          deliveries[i].state = SETTLED;
        }
      }
      this.finished = 0;
    }
    if (this.head > 1024 || this.head === deliveries.length) {
      deliveries.splice(0, this.head);
      this.head = 0;
    }
  }
}

async function main() {
  const [amqpUrl, sink, windowText, ...queues] = process.argv.slice(2);
  const window = Number(windowText);
  const http = new Connections(sink);
  const broker = await amqp.connect(amqpUrl, { noDelay: true });
  const consumers = [];
  let inFlight = 0;
  let drained = null;

  function left() {
    inFlight -= 1;
    if (inFlight === 0 && drained !== null) drained();
  }

  for (const queue of queues) {
    const channel = await broker.createChannel();
    await channel.prefetch(window);
    const settlements = new Settlements(channel, window);
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message === null) fail(new Error(`the broker cancelled the consumer of ${queue}`));
      const delivery = settlements.take(message);
      inFlight += 1;
      http.post(message.content, (ok) => {
        if (ok) {
          settlements.ack(delivery);
          left();
          return;
        }
        setTimeout(() => {
          settlements.putBack(delivery);
          left();
        }, RETRY_PAUSE_MS);
      });
    });
    consumers.push({ channel, consumerTag, settlements });
  }

  let stopping = false;
  async function stop() {
    if (stopping) return;
    stopping = true;
    await Promise.all(consumers.map(({ channel, consumerTag }) => channel.cancel(consumerTag)));
    if (inFlight > 0) await new Promise((resolve) => (drained = resolve));
    for (const { settlements } of consumers) settlements.flush();
    await Promise.all(consumers.map(({ channel }) => channel.close()));
    await broker.close();
    await http.close();
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop().catch(fail));
  broker.on('error', fail);
  broker.on('close', () => {
    if (!stopping) fail(new Error('the broker closed the connection'));
  });
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
