"""Lesson 10: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

ABANDONED = 'name.startswith("callback.") and consumers == "0"'
LIVE = ", params=live"
DECLARE = "    channel.queue_declare(target, durable=True)\n"
ACK = "        channel.basic_ack(method.delivery_tag)\n"
PUBLISH = '        channel.basic_publish("", target, body, properties)\n'
UNBIND = "channel.queue_unbind(queue, exchange, routing_key=key)"

WRONG = {
    "10-delete-abandoned": {
        "every queue without a consumer": (
            [(ABANDONED, 'consumers == "0"')], "`addition` was deleted, and 2 requests.*no callback queue",
        ),
        "the requests purged": (
            [(ABANDONED, 'name == "addition"'), ("delete_queue", "purge_queue")],
            "`addition` was purged, and 2 requests",
        ),
        "those in use": (
            [(ABANDONED, 'consumers != "0"')], "`callback.eve` was deleted, though a client consumes.*cancelled",
        ),
        "those in use purged": (
            [(ABANDONED, 'consumers != "0"'), ("delete_queue", "purge_queue")],
            "`callback.eve` was purged.*keeps the 1 reply.*lost the 2",
        ),
        "purged instead of deleted": ([("delete_queue", "purge_queue")], "`callback.anna` was purged.*still exists"),
        "only those with messages": (
            [('"consumers"', '"consumers", "messages"'), ("name, consumers =", "name, consumers, messages ="),
             (ABANDONED, f'{ABANDONED} and messages != "0"')],
            "`callback.ben` still exists. It is empty, and abandoned anyway",
        ),
        "a number instead of text": ([('"0"', "0")], "`callback.anna` still exists, with its message"),
        "the heading as well": ([("[1:]", ""), (ABANDONED, "int(consumers) == 0")], "work is not "
        "finished.*`ValueError"),
    },
    "10-left-behind": {
        "one binding of three": (
            [(UNBIND, f'{UNBIND} if key == "add" else None')],
            "2 of them reached `audit`.*from `events` by `#`, `requests` by `fib`",
        ),
        "one exchange of two": ([(" and exchange", ' and exchange == "requests"')], "1 of them reached.*`events` by "
        "`#`"),
        "the default exchange, too": ([(" and exchange", "")], "403 ACCESS_REFUSED.*default exchange"),
        "the queue deleted": ([(UNBIND, "channel.queue_delete(queue)")], "deleted `audit`.*also the 2 messages"),
        "the queue purged": ([(UNBIND, "channel.queue_purge(queue)")], "held 2 messages that you should keep"),
        "other people's bindings, too": (
            [("destination == queue and exchange", "exchange"), (UNBIND, UNBIND.replace("queue,", "destination,"))],
            "does not reach `addition` any more.*in service",
        ),
        "an error at the end": (
            [("    for line", "    lines = listed.splitlines()[1:] + ['']\n    for line"),
             ("in listed.splitlines()[1:]", "in lines")],
            "No binding is left, but then: Your code raised `ValueError",
        ),
    },
    "10-live-counts": {
        "without the parameters": (
            [(LIVE, "")], r"`addition`.*\. The API collects its numbers every few seconds unless you make it ask",
        ),
        "one of the two parameters": (
            [(', "enable_queue_totals": "true"', "")],
            "ended the service.*`KeyError: 'messages_ready'` in `waiting`.*has no such entry. The API collects its num",
        ),
        "nothing instead of an error": (
            [(LIVE, ""), ('found["messages_ready"]', 'found.get("messages_ready", 0)')],
            # 3 where the API has just collected its numbers: then the second answer is wrong.
            "replied `[03]`, and the queue itself says that [34] messages wait.*every few seconds",
        ),
        "those that are unacked as well": (
            [('"messages_ready"', '"messages"')], "replied `5`, and 4 messages wait.*counted the 1 that a consumer",
        ),
        "another queue": ([("== queue", '== "audit"')], "replied `7`, which is the count of `audit`"),
        "what it once was": (
            [("def waiting(api, vhost, queue):\n", "def waiting(api, vhost, queue, known={}):\n    if known:\n"
              "        return known[queue]\n"), ("return found", "return known.setdefault(queue, found"),
             ('"messages_ready"]', '"messages_ready"])')],
            "replied `3`, and the queue itself says that 4 messages wait",
        ),
        "no such page": ([("/queues/", "/queue/")], "ended the service. Your code raised"),
    },
    "10-move-messages": {
        "no queue": ([(DECLARE, "")], "published with the key `parked`, and no queue took them.*`addition` has 0 left"),
        "without properties": ([("body, properties", "body")], "lost its `reply_to` and `correlation_id` and `deliv"),
        "acknowledged by itself": (
            [("basic_get(source)", "basic_get(source, auto_ack=True)"), (ACK, "")],
            "`3,5` was acknowledged before its copy was published",
        ),
        "acknowledged first": ([(ACK, ""), (PUBLISH, ACK + PUBLISH)], "acknowledged before its copy was published"),
        "never acknowledged": ([(ACK, "")], "`parked` has 3, and `addition` has 3: the broker requeued"),
        "requeued": ([(ACK, "        channel.basic_nack(method.delivery_tag)\n")], r"published \d+ messages for 3"),
        "purged": ([("    while", "    channel.queue_purge(source)\n    while")], "are lost: nothing was published"),
        "an error on the way": (
            [(ACK, ACK + "        raise OSError\n")],
            "1 of 3 messages were published to the other queue, 2 are ready in `addition` and 0 unacked.*`OSError`",
        ),
    },
}

ALSO_RIGHT = {
    "10-delete-abandoned": {
        "with more columns": """
def tidy(ctl):
    rows = [line.split("\\t") for line in str(ctl("list_queues", "name", "messages", "consumers")).splitlines()]
    for name, messages, consumers in rows[1:]:
        if name[:9] == "callback." and not int(consumers):
            ctl("delete_queue", name)
""",
    },
    "10-left-behind": {
        "by known names": """
def retire(channel, ctl, queue):
    for exchange, key in (("requests", "add"), ("requests", "fib"), ("events", "#")):
        channel.queue_unbind(queue, exchange, routing_key=key)
""",
    },
    "10-live-counts": {
        "the difference of two": """
def waiting(api, vhost, queue):
    live = {"disable_stats": "true", "enable_queue_totals": "true"}
    queues = {found["name"]: found for found in api.get(f"/queues/{vhost}", params=live).json()}
    return queues[queue]["messages"] - queues[queue]["messages_unacknowledged"]
""",
    },
    "10-move-messages": {
        "confirmed, on a separate channel": """
def move(channel, source, target):
    outgoing = channel.connection.channel()
    outgoing.confirm_delivery()
    outgoing.queue_declare(target, durable=True)
    for method, properties, body in channel.consume(source, inactivity_timeout=0.3):
        if method is None:
            channel.cancel()
            return
        outgoing.basic_publish("", target, body, properties, mandatory=True)
        channel.basic_ack(method.delivery_tag)
""",
    },
}
