"""What a broker that is configured as the makers of RabbitMQ 4.3 do it denies; `make matrix` configures one so."""

from __future__ import annotations

import os

import pytest

from rpclab.broker.node_files import EXTRA_CONFIGURATION

aio_pikas_rpc = pytest.mark.skipif(
    EXTRA_CONFIGURATION in os.environ,
    reason="aio-pika's RPC declares a queue that is neither durable nor exclusive, and this broker denies those",
)
