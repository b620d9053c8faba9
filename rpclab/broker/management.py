"""The broker's HTTP API, as far as the lab uses it.

Its reference: https://www.rabbitmq.com/docs/http-api-reference.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from rpclab.broker import tls
from rpclab.broker.address import Broker
from rpclab.errors import BrokerRefused, BrokerUnavailable, CommandFailed

# Without these two, counts come from statistics that lag by up to 5 s; with them, from the queues themselves.
LIVE = {"disable_stats": "true", "enable_queue_totals": "true"}


class Management:
    """A client of one broker's HTTP API; a context manager.

    Each node of a cluster has the API and answers for all. The one that answered last is tried first.

    Parameters
    ----------
    broker : Broker
        The broker with the API.
    """

    def __init__(self, broker: Broker):
        self._nodes = deque(broker.all)
        self._http = httpx.Client(
            # A proxy named in the environment must not be used for loopback.
            trust_env=False,
            # Building a TLS context takes longer than any request here, and plain HTTP does not need one.
            verify=any(urlsplit(each.management_url).scheme == "https" for each in broker.all) and tls.context(),
            timeout=10,
        )

    def get(self, *path: str, **query: str) -> Any | None:
        """Return what the API has at a path, or None if it has nothing; path parts are escaped here."""
        return self._request("GET", path, params=query)

    def fetch(self, *path: str, **query: str) -> Any:
        """Return what every broker's API has at a path.

        Raises
        ------
        BrokerUnavailable
            If it has nothing at that path, so that it is not a management API.
        """
        found = self.get(*path, **query)
        if found is None:
            raise self._no_api(f"has nothing at {_url(path)}")
        return found

    def put(self, *path: str, json: dict) -> None:
        self._request("PUT", path, json=json)

    def post(self, *path: str) -> None:
        self._request("POST", path)

    def delete(self, *path: str) -> bool:
        """Delete what is at a path; return whether there was anything."""
        return self._request("DELETE", path) is not None

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Management:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _request(self, method: str, path: tuple[str, ...], **content: Any) -> Any | None:
        url = _url(path)
        response = self._answer(method, url, **content)
        node = self._nodes[0]
        if response.status_code == 404:
            return None
        if response.status_code in (401, 403):
            raise BrokerRefused(
                f"The management API at {node.management_url} refuses user {node.username!r} "
                f"({response.status_code}: {_reason(response)}). Check the password; the user needs the tag "
                "`management`, and `administrator` to create virtual hosts."
            )
        if response.is_error:
            raise CommandFailed(f"{method} {url} was rejected ({response.status_code}): {_reason(response)}")
        if not response.content:
            return True
        try:
            return response.json()
        except ValueError as error:
            raise self._no_api(f"replied to {url} with something other than JSON") from error

    def _answer(self, method: str, url: str, **content: Any) -> httpx.Response:
        """Return the first node's answer; these requests may be repeated safely."""
        failures: dict[str, httpx.HTTPError] = {}
        for _ in range(len(self._nodes)):
            node = self._nodes[0]
            try:
                return self._http.request(
                    method, f"{node.management_url}{url}", auth=(node.username, node.password), **content
                )
            except httpx.HTTPError as error:
                failures[node.management_url] = error
                self._nodes.rotate(-1)
        failure = failures[self._nodes[0].management_url]
        each = "; ".join(f"{url} ({str(error) or type(error).__name__})" for url, error in sorted(failures.items()))
        parts = urlsplit(self._nodes[0].management_url)
        raise tls.explained(failure, parts.hostname or "", parts.port or 443) or BrokerUnavailable(
            f"The management API does not answer: {each}. "
            "`python -m rpclab status` shows what is running; if the broker listens elsewhere, set RPCLAB_MANAGEMENT."
        ) from failure

    def _no_api(self, what: str) -> BrokerUnavailable:
        return BrokerUnavailable(
            f"{self._nodes[0].management_url} {what}, so it is not the management API of a RabbitMQ. Set "
            "RPCLAB_MANAGEMENT to the address of the management API, for example http://127.0.0.1:15672."
        )


def _url(path: tuple[str, ...]) -> str:
    return "/api/" + "/".join(quote(part, safe="") for part in path)


def _reason(response: httpx.Response) -> str:
    try:
        said = response.json()
        return str(said.get("reason", said))
    except ValueError:
        return response.text[:200] or response.reason_phrase
