"""What is true of queues beside what passes the tap: whether they exist, and whether other programs consume from them.

A queue may have been declared before the watch began, or by a program that does not connect through it. So the broker
is asked, by passive declarations, which change nothing: https://www.rabbitmq.com/docs/queues#properties.
"""

from __future__ import annotations

import time
from contextlib import suppress

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from rpclab.broker.connect import connect
from rpclab.errors import LabError
from rpclab.rpc.protocol import DIRECT_REPLY_TO
from rpclab.story.story import Story
from rpclab.wire.messages import Message

NOT_FOUND = 404
# A queue is asked for again only after this time, and at most this many in one look.
AGAIN_SECONDS = 2.0
MOST_ASKED = 20
MOST_REMEMBERED = 1_000
# Consumers of a queue that may have one.
MAYBE = 1


class Outside:
    """Asks the broker about queues, on a connection beside the tap.

    Parameters
    ----------
    parameters : pika.connection.Parameters
        Where to ask, and as whom.

    Attributes
    ----------
    vhosts : set of str
        The virtual hosts of the connections that were seen. If they are several, nothing is asked: a queue's name says
        nothing of its virtual host.
    """

    def __init__(self, parameters: pika.connection.Parameters):
        parameters.heartbeat = 0  # it is used now and then
        self.vhosts: set[str] = set()
        self._parameters = parameters
        self._connection: pika.BlockingConnection | None = None
        self._asked: dict[str, float] = {}
        self._not_before = 0.0

    def ask(self, story: Story) -> None:
        """Tell a story what the broker says of the queues that nothing, or not all, is known of.

        Where the broker does not say, other programs are taken to consume: no finding rests on a guess.
        """
        unknown: dict[str, list[Message]] = {}
        journal = story.journal
        # Of a queue that is exclusive to a connection, all is seen.
        known = {one.queue for one in list(journal.declared) if one.exclusive}
        known |= {one.queue for one in journal.consumers if one.ended is None}
        for message in story.messages:
            if message.deliveries or message.returned or message.exchange:
                queues = tuple(queue for queue in message.places if message.waits_in(queue))
            else:
                queues = message.queues if message.queues is not None else (message.routing_key,)
            for queue in queues:
                if queue not in known and not queue.startswith(DIRECT_REPLY_TO):
                    unknown.setdefault(queue, []).append(message)
        now = time.monotonic()
        due = [queue for queue in unknown if now - self._asked.get(queue, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        for queue in due[:MOST_ASKED]:
            self._tell(story, queue, unknown[queue])
        while len(self._asked) > MOST_REMEMBERED:
            queue = next(iter(self._asked))
            del self._asked[queue]
            journal.elsewhere.pop(queue, None)
        # Those that have not been asked for yet are not judged yet.
        for queue in due[MOST_ASKED:]:
            journal.elsewhere.setdefault(queue, MAYBE)

    def ask_again(self) -> None:
        """Have the next call of `ask` ask about all queues, whenever it was done before."""
        self._asked.clear()

    def close(self) -> None:
        if self._connection:
            with suppress(AMQPError):
                self._connection.close()
            self._connection = None

    def _tell(self, story: Story, queue: str, messages: list[Message]) -> None:
        began = time.monotonic()
        exists, ready, consumers = self._counts(queue)
        self._asked.pop(queue, None)
        self._asked[queue] = began
        if exists and ready and not consumers:
            story.journal.elsewhere[queue] = 0
            known: tuple[str, ...] = (queue,)
        else:
            story.journal.elsewhere[queue] = MAYBE if exists else 0
            known = ()
        if exists and not known:
            return
        for message in messages:
            # The reply queue of a client that is not watched may have gone with its client.
            if message.queues is None and message.time < began and (known or _client_is_seen(story, queue)):
                message.queues = known

    def _counts(self, queue: str) -> tuple[bool, int, int]:
        """Return whether a queue exists, how many messages are ready, and how many consumers there are."""
        unknown = (True, 0, 1)
        if time.monotonic() < self._not_before or len(self.vhosts) != 1:
            return unknown
        (vhost,) = self.vhosts
        if vhost != self._parameters.virtual_host:
            self.close()
            self._parameters.virtual_host = vhost
        try:
            self._connection = self._connection or connect(self._parameters, "rpclab watch")
            channel = self._connection.channel()
            counts = channel.queue_declare(queue, passive=True).method
            channel.close()
        except ChannelClosedByBroker as refusal:
            return (False, 0, 0) if refusal.reply_code == NOT_FOUND else unknown
        except (AMQPError, LabError):
            self.close()
            self._not_before = time.monotonic() + AGAIN_SECONDS
            return unknown
        return True, counts.message_count, counts.consumer_count


def _client_is_seen(story: Story, queue: str) -> bool:
    requests = [one for one in story.requests if one.properties.reply_to == queue]
    return all(one.publisher is not None for one in requests)
