"""The names of the package, for type checkers and editors; `__init__.py` reads here where each comes from."""

from rpclab.course.catalogue import exercise as exercise
from rpclab.course.drill import drill as drill
from rpclab.course.prediction import predict as predict
from rpclab.course.progress import progress as progress
from rpclab.broker.environment import (
    all_connection_parameters as all_connection_parameters,
    connection_parameters as connection_parameters,
)
from rpclab.errors import (
    AccessRefused as AccessRefused,
    Blocked as Blocked,
    BrokerRefused as BrokerRefused,
    BrokerUnavailable as BrokerUnavailable,
    ClientClosed as ClientClosed,
    CommandFailed as CommandFailed,
    ConnectionLost as ConnectionLost,
    InvalidName as InvalidName,
    InvalidOption as InvalidOption,
    LabClosed as LabClosed,
    LabError as LabError,
    MisplacedCall as MisplacedCall,
    QueueArgumentsDiffer as QueueArgumentsDiffer,
    QueueInUse as QueueInUse,
    QueueNotFound as QueueNotFound,
    QueueUnavailable as QueueUnavailable,
    RemoteError as RemoteError,
    ReplyLost as ReplyLost,
    RequestRejected as RequestRejected,
    RpcError as RpcError,
    RpcTimeout as RpcTimeout,
    UnreadableBody as UnreadableBody,
    UnroutableError as UnroutableError,
    VhostNotFound as VhostNotFound,
    VhostNotOurs as VhostNotOurs,
    WorkerFailed as WorkerFailed,
    WrongCredentials as WrongCredentials,
)
from rpclab.lab import Lab as Lab
from rpclab.rpc.arithmetic import (
    AddClient as AddClient,
    AdditionServer as AdditionServer,
    FibonacciClient as FibonacciClient,
    FibonacciServer as FibonacciServer,
)
from rpclab.rpc.callback_worker import CallbackWorker as CallbackWorker
from rpclab.rpc.client import RpcClient as RpcClient
from rpclab.rpc.codec import Json as Json
from rpclab.rpc.future import RpcFuture as RpcFuture
from rpclab.rpc.protocol import (
    ADDITION_CALLBACK_QUEUE as ADDITION_CALLBACK_QUEUE,
    ADDITION_QUEUE as ADDITION_QUEUE,
    FIBONACCI_CALLBACK_QUEUE as FIBONACCI_CALLBACK_QUEUE,
    FIBONACCI_QUEUE as FIBONACCI_QUEUE,
)
from rpclab.rpc.server import BaseServer as BaseServer
from rpclab.rpc.rpc_server import RpcServer as RpcServer
from rpclab.rpc.reliability.stream import RpcStream as RpcStream
from rpclab.rpc.workers import Workers as Workers
from rpclab.widgets.callback_feed import CallbackFeed as CallbackFeed
from rpclab.widgets.class_board import ClassBoard as ClassBoard
from rpclab.widgets.control_room import ControlRoom as ControlRoom
from rpclab.widgets.message_flow import MessageFlow as MessageFlow
from rpclab.widgets.queue_monitor import QueueMonitor as QueueMonitor
from rpclab.widgets.request_panel import RequestPanel as RequestPanel
from rpclab.widgets.worker_board import WorkerBoard as WorkerBoard
from rpclab.story.story import Story as Story

__version__: str
__all__: list[str]
