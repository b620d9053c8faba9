"""TLS connections to brokers: which certificates are trusted, and why another one is not.

The one place that builds a TLS context. The broker's side of it: https://www.rabbitmq.com/docs/ssl.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import TypeVar

import pika

from rpclab.errors import BrokerUnavailable, InvalidOption, LabError

E = TypeVar("E", bound=BaseException)

CA_VARIABLE = "RPCLAB_CA"
TIMEOUT_SECONDS = 10

# OpenSSL's codes for an untrusted certificate, by what to do about it (openssl-verification-options(1)).
UNKNOWN_CA = (2, 18, 19, 20, 21)
NOT_YET_VALID = 9
EXPIRED = 10
OTHER_NAME = (62, 64)


def context() -> ssl.SSLContext:
    """Return the TLS context of every connection: certificates and host names are checked.

    The system's certificate authorities are trusted, and those in the file that ``RPCLAB_CA`` names.

    Raises
    ------
    InvalidOption
        If that file cannot be read, or holds no certificate.
    """
    return _context(os.environ.get(CA_VARIABLE, ""))


def parameters(url: str) -> pika.URLParameters:
    """Return pika's connection parameters for an AMQP URL, with the lab's TLS context if it is an ``amqps://`` one."""
    found = pika.URLParameters(url)
    if found.ssl_options is not None:
        found.ssl_options = pika.SSLOptions(context(), found.host)
    return found


def check(addresses: Iterable[tuple[str, int]]) -> None:
    """Check a broker's TLS handshake, and close the connection; of a cluster's nodes, one must succeed.

    Parameters
    ----------
    addresses : iterable of (str, int)
        Host and port of each node that is reached over TLS; may be empty.

    Raises
    ------
    BrokerUnavailable
        If no broker answers, or it does not speak TLS, or its certificate is not trusted; with what to do.
    """
    refused = None
    for host, port in addresses:
        try:
            _shake_hands(host, port)
        except BrokerUnavailable as error:
            refused = refused or error
        else:
            return
    if refused:
        raise refused


def _shake_hands(host: str, port: int) -> None:
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_SECONDS) as link,
            context().wrap_socket(link, server_hostname=host),
        ):
            return
    except OSError as error:
        raise explained(error, host, port) or BrokerUnavailable(
            f"No RabbitMQ answers at {host}:{port} over TLS ({error}). Check RPCLAB_BROKER, and that the broker runs."
        ) from error


def explained(error: BaseException, host: str, port: int) -> LabError | None:
    """Return the lab's own error if TLS caused an error, also one that wraps it, else None."""
    reason = next(causes(error, ssl.SSLError), None)
    where = f"{host}:{port}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return BrokerUnavailable(f"{where} has a certificate that is not trusted: {_advice(reason, host)}")
    if reason is not None:
        return BrokerUnavailable(
            f"The TLS connection to {where} failed ({reason.reason or reason}). If the broker speaks plain AMQP "
            "there, write amqp:// instead of amqps://. The usual port for TLS is 5671, for the management API 15671."
        )
    return None


def _advice(refused: ssl.SSLCertVerificationError, host: str) -> str:
    if refused.verify_code in UNKNOWN_CA:
        return (
            "no authority known here has signed it. If the broker uses a private certificate authority, get that one's "
            f"certificate from the broker's administrator and set {CA_VARIABLE}=/path/to/ca.pem."
        )
    if refused.verify_code in OTHER_NAME:
        return f"it is for another host than {host!r}. Write the name that is in the certificate into RPCLAB_BROKER."
    if refused.verify_code == EXPIRED:
        return "it has expired. The broker's administrator must renew it; also check this machine's clock."
    if refused.verify_code == NOT_YET_VALID:
        return "it is not valid yet. Check the clocks of this machine and of the broker's."
    return f"{refused.verify_message}. The broker's administrator can say more."


def causes(error: BaseException, kind: type[E]) -> Iterator[E]:
    """Return errors of a kind in an error and in those that it wraps; pika keeps them in arguments and attributes."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kind):
            yield one
        beneath = (
            one.__cause__, one.__context__, getattr(one, "exception", None), *getattr(one, "exceptions", ()), *one.args
        )
        waiting += [each for each in beneath if isinstance(each, BaseException)]


@functools.lru_cache(maxsize=4)
def _context(authorities: str) -> ssl.SSLContext:
    made = ssl.create_default_context()
    if authorities:
        try:
            made.load_verify_locations(authorities)
        except OSError as error:
            raise InvalidOption(
                f"{CA_VARIABLE} is {authorities!r}, which cannot be used ({error}). It names a file with the "
                "certificate of the broker's certificate authority, in the PEM format."
            ) from error
    return made
