"""Brokers that are reached over TLS: whose certificates are trusted, and what is wrong with one that is not.

The one place that builds a TLS context. The broker's side of it: https://www.rabbitmq.com/docs/ssl.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import Iterable, Iterator

import pika

from rpclab.errors import BrokerUnavailable, InvalidOption, LabError

CA_VARIABLE = "RPCLAB_CA"
TIMEOUT_SECONDS = 10

# OpenSSL's codes for a certificate that did not pass, by what one can do about it (openssl-verification-options(1)).
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
    """Shake hands with a broker over TLS and hang up; of a cluster's nodes, one has to pass.

    Parameters
    ----------
    addresses : iterable of (str, int)
        Host and port of each node that is reached over TLS; none are fine as well.

    Raises
    ------
    BrokerUnavailable
        If nobody answers, or no TLS is spoken there, or the certificate is not to be trusted; with what to do.
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
    """Return the lab's own error if TLS is the reason for an error, wrapped by whomever, else None."""
    reason = next(_reasons(error), None)
    where = f"{host}:{port}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return BrokerUnavailable(f"{where} has a certificate that is not trusted: {_advice(reason, host)}")
    if reason is not None:
        return BrokerUnavailable(
            f"No TLS connection to {where} came about ({reason.reason or reason}). If the broker speaks plain AMQP "
            "there, write amqp:// instead of amqps://. The usual port for TLS is 5671, for the management API 15671."
        )
    return None


def _advice(refused: ssl.SSLCertVerificationError, host: str) -> str:
    if refused.verify_code in UNKNOWN_CA:
        return (
            "nobody known has signed it. If the broker has a certificate authority of its own, get that one's "
            f"certificate from whoever runs the broker and set {CA_VARIABLE}=/path/to/ca.pem."
        )
    if refused.verify_code in OTHER_NAME:
        return f"it is for another host than {host!r}. Write the name that is in the certificate into RPCLAB_BROKER."
    if refused.verify_code == EXPIRED:
        return "it has expired. Whoever runs the broker has to renew it; check this machine's clock as well."
    if refused.verify_code == NOT_YET_VALID:
        return "it is not valid yet. Check the clocks of this machine and of the broker's."
    return f"{refused.verify_message}. Whoever runs the broker can tell more."


def _reasons(error: BaseException) -> Iterator[ssl.SSLError]:
    """Find TLS errors in an error and in those that it stands for; pika hides them in arguments and attributes."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ssl.SSLError):
            yield one
        beneath = (one.__cause__, one.__context__, getattr(one, "exception", None), *one.args)
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
