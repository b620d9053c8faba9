"""Client and server as aio-pika's own RPC pattern has them, in one program."""

from __future__ import annotations

import asyncio
import os

import aio_pika
from aio_pika.patterns import RPC


async def add(*, x: int, y: int) -> int:
    return x + y


async def main() -> None:
    url = os.environ["RABBITMQ_URL"]
    async with (
        await aio_pika.connect_robust(url, client_properties={"connection_name": "server"}) as one,
        await aio_pika.connect_robust(url, client_properties={"connection_name": "client"}) as other,
    ):
        server = await RPC.create(await one.channel())
        await server.register("add", add, auto_delete=True)
        client = await RPC.create(await other.channel())
        print("reply:", await client.call("add", {"x": 3, "y": 5}), flush=True)


asyncio.run(main())
