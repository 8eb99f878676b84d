"""A hand-written worker: aio-pika in, aiohttp out, on uvloop.

    python worker.py AMQP_URL SINK_URL WINDOW QUEUE [QUEUE...]

Each message is one POST. A 2xx acknowledges it; anything else puts it back after a pause, which it
waits out inside the window.
"""

import asyncio
import signal
import sys

import aio_pika
import aiohttp
import uvloop
from yarl import URL

REPLY_DEADLINE_S = 30
RETRY_PAUSE_S = 1
HEADERS = {"Content-Type": "application/octet-stream"}


async def posted(http: aiohttp.ClientSession, sink: URL, body: bytes) -> bool:
    try:
        async with http.post(sink, data=body, headers=HEADERS) as reply:
            await reply.read()
            return 200 <= reply.status < 300
    except (aiohttp.ClientError, asyncio.TimeoutError):
        return False


async def forward(amqp_url: str, sink: URL, window: int, queues: list[str]) -> None:
    stopping = asyncio.Event()
    in_flight: set[asyncio.Task] = set()
    lost = []

    connector = aiohttp.TCPConnector(limit=window * len(queues))
    http = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=REPLY_DEADLINE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
    )
    # Not the robust connection: it would declare again what it does not own, and costs more.
    broker = await aio_pika.connect(amqp_url)

    def closed(_connection, error) -> None:
        if not stopping.is_set():
            lost.append(error)
            stopping.set()

    broker.close_callbacks.add(closed)

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        # aio-pika runs this as a task of its own for each message, so the window is the prefetch.
        task = asyncio.current_task()
        in_flight.add(task)
        try:
            if await posted(http, sink, message.body):
                await message.ack()
            else:
                await asyncio.sleep(RETRY_PAUSE_S)
                await message.nack(requeue=True)
        finally:
            in_flight.discard(task)

    consumers = []
    for name in queues:
        channel = await broker.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=window)
        queue = await channel.get_queue(name)
        consumers.append((queue, await queue.consume(take)))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()
    if lost:
        await http.close()
        raise ConnectionError(f"the broker closed the connection: {lost[0]}")
    for queue, tag in consumers:
        await queue.cancel(tag)
    while in_flight:
        await asyncio.wait(in_flight)
    await broker.close()
    await http.close()


def main() -> None:
    amqp_url, sink, window, *queues = sys.argv[1:]
    uvloop.run(forward(amqp_url, URL(sink), int(window), queues))


main()
