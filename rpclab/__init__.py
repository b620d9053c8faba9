"""rpclab: request/reply over RabbitMQ, learned on a real broker.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "rpclab.lab": ["Lab"],
    "rpclab.environment": ["all_connection_parameters", "connection_parameters"],
    "rpclab.rpc.queues": [
        "ADDITION_CALLBACK_QUEUE", "ADDITION_QUEUE", "FIBONACCI_CALLBACK_QUEUE", "FIBONACCI_QUEUE",
    ],
    "rpclab.rpc.server": ["BaseServer"],
    "rpclab.rpc.service": ["RpcServer"],
    "rpclab.rpc.client": ["RpcClient", "RpcFuture"],
    "rpclab.rpc.callback": ["CallbackWorker"],
    "rpclab.rpc.arithmetic": ["AddClient", "AdditionServer", "FibonacciClient", "FibonacciServer"],
    "rpclab.rpc.workers": ["Workers"],
    "rpclab.widgets.request_panel": ["RequestPanel"],
    "rpclab.widgets.callback_feed": ["CallbackFeed"],
    "rpclab.widgets.worker_board": ["WorkerBoard"],
    "rpclab.widgets.queue_monitor": ["QueueMonitor"],
    "rpclab.widgets.message_flow": ["MessageFlow"],
    "rpclab.widgets.control_room": ["ControlRoom"],
    "rpclab.widgets.class_board": ["ClassBoard"],
    "rpclab.course.catalogue": ["exercise"],
    "rpclab.course.prediction": ["predict"],
    "rpclab.course.progress": ["progress"],
    "rpclab.errors": [
        "AccessRefused", "Blocked", "BrokerRefused", "BrokerUnavailable", "ClientClosed", "CommandFailed",
        "ConnectionLost", "InvalidName", "InvalidOption", "LabError", "QueueArgumentsDiffer", "QueueInUse",
        "QueueNotFound", "QueueUnavailable", "RemoteError", "RpcError", "RpcTimeout", "UnroutableError",
        "VhostNotFound", "VhostNotOurs", "WorkerFailed", "WrongCredentials",
    ],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__version__ = "0.1.0"
__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
