"""The course's own client, which has a deadline and knows its replies."""

from __future__ import annotations

import rpclab
from rpclab.errors import RpcTimeout

with rpclab.RpcClient("sums") as client:
    for _ in range(2):
        try:
            print("reply:", client.call("3,5", timeout=1), flush=True)
        except RpcTimeout:
            print("no reply", flush=True)
