"""Which lab this process belongs to: the one that its environment names.

A module of its own so that a worker process need not load what only a notebook uses.
"""

from __future__ import annotations

import multiprocessing
import os

import pika

from rpclab.broker import tls
from rpclab.errors import LabError

URL_VARIABLE = "RPCLAB_URL"


def connection_parameters() -> pika.URLParameters:
    """Return the connection parameters of the lab that this process belongs to.

    Raises
    ------
    LabError
        If no lab has been opened, neither here nor by the process that started this one.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise LabError('No lab is open. Open one first: lab = rpclab.Lab("my-lab").')
    return named(tls.parameters(url))


def named(parameters: pika.URLParameters) -> pika.URLParameters:
    """Have connections with these parameters say which process they belong to."""
    process = multiprocessing.current_process()
    name = "notebook" if process.name == "MainProcess" else process.name
    said = parameters.client_properties or {}
    parameters.client_properties = {**said, "connection_name": name, "pid": process.pid}
    return parameters
