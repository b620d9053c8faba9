"""Which lab this process belongs to: the one that its environment names.

A separate module, so that a worker process need not load what only a notebook uses.
"""

from __future__ import annotations

import multiprocessing
import os
import re

import pika

from rpclab.broker import tls
from rpclab.errors import LabError

URL_VARIABLE = "RPCLAB_URL"


def connection_parameters() -> pika.URLParameters:
    """Return the connection parameters of the lab that this process belongs to; of a cluster, those of one node.

    Raises
    ------
    LabError
        If no lab has been opened, here or by the process that started this one.
    """
    return all_connection_parameters()[0]


def all_connection_parameters() -> list[pika.URLParameters]:
    """Return the connection parameters of each node of the lab that this process belongs to.

    A notebook's begin with the first node. Those of worker processes begin with the second, the third and so on, by
    the number in the worker's name, so that they do not all depend on one node.

    Raises
    ------
    LabError
        If no lab has been opened, here or by the process that started this one.
    """
    urls = os.environ.get(URL_VARIABLE, "").split()
    if not urls:
        raise LabError('No lab is open. Open one first: lab = rpclab.Lab("my-lab").')
    number = re.search(r"-(\d+)$", multiprocessing.current_process().name)
    first = int(number[1]) % len(urls) if number else 0
    return [named(tls.parameters(url)) for url in urls[first:] + urls[:first]]


def named(parameters: pika.URLParameters) -> pika.URLParameters:
    """Give connections with these parameters the name of the process that they belong to."""
    process = multiprocessing.current_process()
    name = "notebook" if process.name == "MainProcess" else process.name
    said = parameters.client_properties or {}
    parameters.client_properties = {**said, "connection_name": name, "pid": process.pid}
    return parameters
