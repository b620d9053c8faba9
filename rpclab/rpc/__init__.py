"""Request and reply over RabbitMQ. Read these modules from top to bottom: they follow a request on its way.

protocol         what client and server agree on: queues, properties, error replies
server           the case study's server: a connection, a queue, one delivery at a time; the base of CallbackWorker
rpc_server       a function as a service: take a request, reply, acknowledge when the reply is confirmed; of the base
                 class it shares only `on_request`, because `recovering_server` replaces its connection, start and stop
client           what callers use: call, submit, call_async, stream, send
pending_calls    what happens to a call: it is sent, and ends with its reply, an error or its deadline
arithmetic       the two services of the case study, and their clients
callback_worker  a process that consumes replies from a callback queue that clients share
workers          servers in processes, which a notebook starts, watches and kills

All of it in one system is `rpclab.case_study`.

Look these up when you meet them: `options` (what may be passed in), `codec` (how values become bodies), `future` (what
a call returns), `request` (what the client keeps of a call), `stats` (what the client counts).

What goes on when something dies is in `reliability`. For the client:

client_session     its thread: opens a connection, and another one when that is lost
client_connection  one connection: declares and consumes the callback queue, publishes requests
publisher          publishes with confirms, for client and server: the outcome of each message
resending          sends requests again, or ends them, when the broker or the connection fails
deadlines          ends a call at its deadline, after a `queue_inspection`, with one of the `failure_messages`
failover           which node to connect to next, with a `backoff` between rounds
misplaced_calls    refuses calls in a thread that would wait for itself, or in a forked process
stream             several replies to one request, for client and server

For the server:

recovering_server  its loop: start and stop, and another channel, connection or queue when one is lost
server_connection  one connection with its channel, and waiting for the broker's answers
handler_threads    run the function while the connection's thread sends heartbeats
outbox             sends replies, and acknowledges a request when the broker has confirmed all that it sent
unacked_requests   recognizes a request that comes again while it is in hand, or after its reply
retry_limit        counts deliveries, and dead-letters a request that no worker survives
reply_memory       keeps replies on the broker, so that a request that comes again is not processed again
reply_queues       says which queues get no reply

`processes` is behind `workers`: a process, what runs in it, and what can be sent to it.

Which thread runs what:

- Callers' threads run `RpcClient`. They hand requests to the session under its lock, and wait for futures.
- The client's thread runs everything behind `ClientSession`: connection, pending calls, stats, callbacks of futures.
- The server's thread, that of `start`, runs the loop: deliveries, replies, acknowledgements. `stop` only wakes it.
- Handler threads run the function and the reply memory, and pass what it returns to the server's thread by a queue.
"""
