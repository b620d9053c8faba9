"""The same with amqplib, the client of most reports from Node."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from waiting import until

PROGRAM = """
const [mode, name] = process.argv.slice(2)
const connection = await amqp.connect(process.env.PLAIN_URL, { clientProperties: { connection_name: name } })
const channel = await connection.createChannel()
connection.on("error", () => {})
channel.on("error", () => {})
await channel.assertQueue("orders")
if (mode === "client") {
  const { queue: replyTo } = await channel.assertQueue("", { exclusive: true })
  await channel.consume(replyTo, () => {}, { noAck: true })
  for (const id of "abcd") channel.sendToQueue("orders", Buffer.from(`order ${id}`), { correlationId: id, replyTo })
} else {
  if (mode === "forgets") await channel.prefetch(2)
  await channel.consume("orders", message => {
    const { correlationId, replyTo } = message.properties
    if (mode === "throws") throw new Error("no such order")
    channel.sendToQueue(replyTo, message.content, mode === "without id" ? {} : { correlationId })
    // What is refused closes the channel. With the last request, no other one is left waiting.
    const last = correlationId === "d"
    if (mode !== "forgets" && (mode !== "noAck" || last)) channel.ack(message)
    if (mode === "twice" && last) channel.ack(message)
  }, { noAck: mode === "noAck" })
}
"""


@pytest.fixture(scope="module")
def amqplib(tmp_path_factory):
    """A folder with amqplib in it."""
    folder = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "amqplib@0.10"]
    if not shutil.which("npm") or subprocess.run(install, cwd=folder, check=False).returncode:
        pytest.skip("needs Node, and a registry that has amqplib")
    (folder / "program.mjs").write_text('import amqp from "amqplib"\n' + PROGRAM)
    return folder


@pytest.fixture
def node(lab, amqplib):
    environment = {**os.environ, "PLAIN_URL": lab.url.split("?")[0]}
    processes = []

    def start(mode: str, name: str) -> None:
        processes.append(subprocess.Popen(["node", "program.mjs", mode, name], cwd=amqplib, env=environment))

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("mode", "rules"), [
    ("works", []), ("noAck", ["acked-with-auto-ack"]), ("twice", ["acked-twice"]), ("forgets", ["never-acked"]),
    ("without id", ["reply-without-correlation-id"]),
    ("throws", ["closed-by-client", "queue-without-consumer"]),
])
def test_programs_for_node(lab, node, told, mode, rules):
    node(mode, "server")
    lab.wait_for("orders", consumers=1)
    node("client", "client")
    until(lambda: any(request.deliveries for request in lab.story.requests))
    told(*rules)
