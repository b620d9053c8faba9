"""How values become bodies: as text, which is the default, or as JSON with a version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import pika

from rpclab.errors import InvalidOption, UnreadableBody
from rpclab.rpc import options
from rpclab.rpc.protocol import VERSION


class Codec:
    """Bodies as text in UTF-8, of whatever content type: the default, and the base class of other codecs.

    Attributes
    ----------
    content_type : str
        The property ``content_type`` of the messages.
    headers : mapping
        Headers of the messages.
    """

    content_type = "text/plain"
    headers: Mapping[str, Any] = {}

    def encode(self, value: Any) -> Any:
        """Return what is sent for a value: here the value itself, which client and server write as text."""
        return value

    def decode(self, body: bytes, properties: pika.BasicProperties) -> Any:
        """Return the value of a message's body.

        Raises
        ------
        ValueError
            If it is not UTF-8.
        """
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise ValueError(f"the body is not UTF-8 text: {body[:40]!r}") from None


class Json(Codec):
    """Bodies in JSON: ``client.call({"x": 3, "y": 5})`` gives the server's function a dict, and its result comes back.

    Each message has the content type ``application/json`` and a header ``version``. A body of another content type or
    version, or one that is no JSON, is not read: a server replies with an error, which its client raises as
    ``RemoteError("UnreadableBody: ...")``, and a client that cannot read the reply raises `UnreadableBody`.

    Parameters
    ----------
    version : int
        The version of what the bodies mean. Increase it when an older program could not read them.

    Raises
    ------
    InvalidOption
        If the version is no number, and from a call, if its argument cannot be written as JSON.

    Notes
    -----
    https://www.rfc-editor.org/rfc/rfc8259
    """

    content_type = "application/json"

    def __init__(self, version: int = 1):
        if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version < 2**31:
            raise InvalidOption(f"version={options.shown(version)}: it is a whole number, such as 1.")
        self.headers = {VERSION: version}

    def encode(self, value: Any) -> str:
        """Return a value as JSON."""
        try:
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidOption(
                f"{options.shown(value)} cannot be written as JSON ({error}): use dict, list, str, int, float, bool "
                "and None."
            ) from None

    def decode(self, body: bytes, properties: pika.BasicProperties) -> Any:
        """Return the value of a message's body.

        Raises
        ------
        UnreadableBody
            If content type or version are others, or if it is no JSON.
        """
        if properties.content_type != self.content_type:
            raise UnreadableBody(
                f"The body has the content type {options.shown(properties.content_type)}, and only {self.content_type} "
                "is read here. Give client and server the same codec."
            )
        version = (properties.headers or {}).get(VERSION)
        if type(version) is not int or version != self.headers[VERSION]:
            raise UnreadableBody(
                f"The body has version {options.shown(version)}, and only version {self.headers[VERSION]} is read "
                "here. Give client and server the same version, or run a server for each version on its own queue."
            )
        try:
            return json.loads(body.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise UnreadableBody(f"The body is no JSON ({error}): {body[:40]!r}. Its sender must write JSON.") from None


def checked(codec: object) -> Codec:
    """Return a codec, the one for text if there is none.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if codec is None:
        return Codec()
    if not isinstance(codec, Codec):
        raise InvalidOption(f"codec={options.shown(codec)}: it is a codec, such as rpclab.Json(version=1).")
    return codec


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
