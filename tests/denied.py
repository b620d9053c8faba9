"""What a broker that is configured as the makers of RabbitMQ 4.3 do it denies; `make matrix` configures one so."""

from __future__ import annotations

import os

import pytest

aio_pikas_rpc = pytest.mark.skipif(
    "RPCLAB_NODE_CONFIG" in os.environ,
    reason="aio-pika's RPC declares a queue that is neither durable nor exclusive, and this broker denies those",
)
