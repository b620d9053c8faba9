"""Request and reply over RabbitMQ. Read these modules from top to bottom: they follow a request on its way.

protocol         what client and server agree on: queues, properties, error replies, codecs
server           the case study's server: a connection, a queue, one delivery at a time
rpc_server       a function as a service: take a request, reply, acknowledge when the reply is confirmed
client           what callers use: call, submit, call_async, stream, send
pending_calls    what happens to a call: it is sent, and ends with its reply, an error or its deadline
arithmetic       the two services of the case study, and their clients
callback_worker  a process that consumes replies from a callback queue that clients share
workers          servers in processes, which a notebook starts, watches and kills

All of it in one system is `rpclab.case_study`.

Look these up when you meet them: `options` (what may be passed in), `future` (what a call returns), `request` (what the
client keeps of a call), `stats` (what the client counts).

What goes on when something dies is in `reliability`. Its doors:

client_session     the client's thread: it opens a connection, and another one when that is lost
recovering_server  the server's loop: the same for its channel, its connection and its queue
outbox             sends replies, and acknowledges a request when the broker has confirmed all that it sent
unacked_requests   recognizes a request that comes again while it is in hand, or after its reply
retry_limit        counts deliveries, and dead-letters a request that no worker survives
reply_memory       keeps replies on the broker, so that a request that comes again is not processed again
reply_queues       says which queues get no reply
stream             several replies to one request
handler_threads    run the function while the connection's thread sends heartbeats

`processes` is behind `workers`: a process, what runs in it, and what can be sent to it.
"""
