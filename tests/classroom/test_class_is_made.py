"""Making a class, emptying it and removing it, on a broker of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from learners import PAIR, broker_of
from waiting import until

from rpclab import AccessRefused, InvalidName, InvalidOption, LabError
from rpclab.broker.address import Broker
from rpclab.broker.connect import connect
from rpclab.broker.management import Management
from rpclab.broker.vhosts import CLASSROOM_TAG
from rpclab.classroom import maintenance, provision, roster
from rpclab.classroom.limits import Limits

INTERRUPTED = """
import sys
from pathlib import Path
from rpclab.broker.find import find
from rpclab.classroom import provision

names = [f"learner {number}" for number in range(10)]
print("begins", flush=True)
provision.create(find(), names, Path(sys.argv[1]))
"""


def everything(api: Management) -> dict[str, object]:
    """Return all that making a class could change on a broker."""
    users = {user["name"]: (user["password_hash"], user["tags"]) for user in api.get("users")}
    vhosts = {vhost["name"]: (vhost["tags"], vhost["description"]) for vhost in api.get("vhosts")}
    kinds = ("permissions", "vhost-limits", "user-limits")
    lists = {kind: sorted(api.get(kind), key=str) for kind in kinds}
    return {"users": users, "vhosts": vhosts, **lists}


def test_each_learner_gets_a_user_virtual_hosts_and_limits(remote, api, file):
    made = provision.create(remote, ["Anna", "Ben"], file, labs=2, limits=Limits(connections=30, queues=20))
    assert [learner.user for learner in made.learners] == ["anna", "ben"]
    assert made.changed == made.learners
    assert api.get("users", "anna")["tags"] == ["management", CLASSROOM_TAG]
    permitted = {(each["user"], each["vhost"]) for each in api.get("permissions")} & {
        (user, f"{owner}.{number}") for user in ("anna", "ben") for owner in ("anna", "ben") for number in (1, 2, 3)
    }
    assert permitted == {("anna", "anna.1"), ("anna", "anna.2"), ("ben", "ben.1"), ("ben", "ben.2")}
    limits = {each["vhost"]: each["value"] for each in api.get("vhost-limits")}
    assert limits["ben.2"] == {"max-connections": 30, "max-queues": 20}
    assert {"max-connections": 30, "max-channels": 150} in [each["value"] for each in api.get("user-limits")]


def test_made_again_it_changes_nothing(remote, api, file):
    first = provision.create(remote, ["Anna", "Ben"], file, labs=1)
    before, text = everything(api), file.read_text()
    again = provision.create(remote, ["Anna", "Ben"], file, labs=1)
    assert (again.learners, again.changed) == (first.learners, [])
    assert (everything(api), file.read_text()) == (before, text)


def test_more_learners_are_added_and_the_others_keep_their_passwords(remote, api, file):
    (anna,) = provision.create(remote, ["Anna"], file, labs=1).learners
    made = provision.create(remote, ["Ben", "Anna", "Anna"], file, labs=1)
    assert [learner.user for learner in made.learners] == ["anna", "ben", "anna-2"]
    assert made.learners[0] == anna
    assert [learner.user for learner in made.changed] == ["ben", "anna-2"]


def test_limits_are_raised_only_when_told_to(remote, api, file):
    provision.create(remote, ["Anna"], file, labs=1, limits=Limits(queues=7))
    assert provision.create(remote, ["Anna"], file, labs=1).changed == []
    provision.create(remote, ["Anna"], file, labs=1, limits=Limits(queues=9))
    assert api.get("vhost-limits", "anna.1")[0]["value"]["max-queues"] == 9


def test_killed_half_way_it_goes_on_with_the_same_passwords(remote, api, file):
    command = [sys.executable, "-c", INTERRUPTED, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: [user for user in api.get("users") if CLASSROOM_TAG in user["tags"]])
        process.send_signal(signal.SIGKILL)
    present = {user["name"]: user["password_hash"] for user in api.get("users")}
    assert len([vhost for vhost in api.get("vhosts") if CLASSROOM_TAG in vhost["tags"]]) < 10 * provision.LABS
    noted = roster.read(file)
    made = provision.create(remote, [learner.name for learner in noted], file)
    assert [(one.user, one.password) for one in made.learners] == [(one.user, one.password) for one in noted]
    assert 0 < len(made.changed) <= 10
    after = {user["name"]: user["password_hash"] for user in api.get("users")}
    assert present.items() <= after.items()
    for learner in made.learners:
        with Management(broker_of(learner)) as mine:
            assert len(mine.get("vhosts")) == provision.LABS


def test_the_password_is_in_the_file_before_the_user_is_on_the_broker(remote, api, file, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("pulled out")

    monkeypatch.setattr(Management, "put", fail)
    with pytest.raises(ConnectionError):
        provision.create(remote, ["Anna"], file, labs=1)
    assert [learner.user for learner in roster.read(file)] == ["anna"]
    monkeypatch.undo()
    assert api.get("users", "anna") is None
    provision.create(remote, ["Anna"], file, labs=1)


def test_what_others_made_is_refused_and_left_alone(remote, api, file):
    api.put("users", "anna", json={"password": "hers", "tags": ""})
    api.put("vhosts", "ben.1", json={"description": "precious"})
    before = everything(api)
    try:
        with pytest.raises(LabError, match=r"anna, ben\.1 already.*Nothing was changed.*--class"):
            provision.create(remote, ["Anna", "Ben", "Carl"], file)
        assert everything(api) == before
        assert not file.exists()
    finally:
        api.delete("users", "anna")
        api.delete("vhosts", "ben.1")


def test_a_class_whose_file_is_lost_is_not_touched(remote, api, file, tmp_path):
    provision.create(remote, ["Anna"], file, labs=1)
    before = everything(api)
    with pytest.raises(LabError, match="does not have their passwords"):
        provision.create(remote, ["Anna"], tmp_path / "another.csv", labs=1)
    assert everything(api) == before


def test_guest_is_neither_a_learner_nor_a_teacher(remote, api, file):
    with pytest.raises(InvalidName, match="guest"):
        provision.create(remote, ["Guest"], file)
    guest = Broker(remote.url.replace(remote.credentials_url, "guest:guest"), remote.management_url, "RPCLAB_BROKER")
    for attempt in (
        lambda: provision.create(guest, ["Anna"], file), lambda: maintenance.remove(guest),
        lambda: maintenance.reset(guest, "x"),
    ):
        with pytest.raises(AccessRefused, match="guest"):
            attempt()
    assert not file.exists()


def test_a_learner_cannot_make_or_remove_a_class(remote, pair, tmp_path):
    with pytest.raises(AccessRefused, match="does not administer"):
        provision.create(broker_of(pair[0]), ["Carl"], tmp_path / "class.csv")
    with pytest.raises(AccessRefused, match="does not administer"):
        maintenance.remove(broker_of(pair[0]))


def test_two_classes_do_not_know_of_each_other(remote, api, file, tmp_path):
    provision.create(remote, ["Anna"], file, labs=1)
    made = provision.create(remote, ["Anna"], tmp_path / "python.csv", class_name="python", labs=1)
    assert made.learners[0].user == "python-anna"
    removed = maintenance.remove(remote, class_name="python")
    assert (removed.users, list(removed.vhosts)) == ({"python-anna"}, ["python-anna.1"])
    assert api.get("users", "anna") is not None
    with pytest.raises(LabError, match="no such class"):
        maintenance.remove(remote, class_name="python")


def test_removing_leaves_what_others_made(remote, api, file):
    before = everything(api)
    provision.create(remote, ["Anna"], file, labs=2)
    api.put("vhosts", "anna.9", json={"description": "looks like hers"})
    api.put("users", "anna-9", json={"password": "x", "tags": "management"})
    try:
        maintenance.remove(remote)
        assert api.get("vhosts", "anna.9") is not None
        assert api.get("users", "anna-9") is not None
        assert api.get("vhosts", "anna.1") is api.get("users", "anna") is None
    finally:
        api.delete("vhosts", "anna.9")
        api.delete("users", "anna-9")
    assert everything(api) == before


def test_nothing_is_removed_without_a_yes(remote, api, file):
    provision.create(remote, ["Anna"], file, labs=1)
    before = everything(api)
    assert maintenance.remove(remote, agreed=lambda ours: False) is None
    assert everything(api) == before


def test_a_reset_empties_a_learners_labs_closes_connections_and_keeps_limits(remote, api, file):
    anna, ben = provision.create(remote, ["Anna", "Ben"], file, labs=2, limits=Limits(queues=11)).learners
    for learner in (anna, ben):
        with connect(broker_of(learner).parameters(f"{learner.user}.2")) as connection:
            connection.channel().queue_declare("left behind", durable=True)
    before = everything(api)
    held = connect(broker_of(anna).parameters("anna.1"))
    maintenance.reset(remote, "Anna")
    until(lambda: not _alive(held))
    assert api.get("queues", "anna.2") == []
    assert [queue["name"] for queue in api.get("queues", "ben.2")] == ["left behind"]
    assert everything(api) == before


def _alive(connection) -> bool:
    from pika.exceptions import AMQPError

    try:
        connection.process_data_events(0)
    except AMQPError:
        return False
    return connection.is_open


def test_a_new_password_is_noted_and_the_old_one_is_over(remote, file):
    (old,) = provision.create(remote, ["Anna"], file, labs=1).learners
    new = maintenance.reset(remote, "anna", file=file)
    assert new.password != old.password
    assert roster.read(file) == [new]
    assert new.password in file.with_suffix(".html").read_text()
    connect(broker_of(new).parameters("anna.1")).close()
    with pytest.raises(LabError, match="password"):
        connect(broker_of(old).parameters("anna.1"))


def test_a_learner_who_is_not_there_is_named_with_those_who_are(remote, pair):
    with pytest.raises(LabError, match=r"'Carl'.*pair-anna, pair-ben"):
        maintenance.reset(remote, "Carl", class_name=PAIR)


def test_the_file_and_the_sheet_are_for_their_owner_alone(remote, file):
    made = provision.create(remote, ["Zoë <i>Müller</i>"], file, labs=1, host="rabbit.example.org")
    assert file.stat().st_mode & 0o777 == made.sheet.stat().st_mode & 0o777 == 0o600
    (zoe,) = made.learners
    assert zoe.user == "zoe-i-mueller-i"
    assert zoe.url == f"amqp://{zoe.user}:{zoe.password}@rabbit.example.org:{remote.port}"
    page = made.sheet.read_text()
    assert "Zoë &lt;i&gt;Müller&lt;/i&gt;" in page
    assert "<i>" not in page
    assert f"export RPCLAB_BROKER=&#x27;{zoe.url}&#x27;" in page
    assert f"$env:RPCLAB_BROKER = &#x27;{zoe.url}&#x27;" in page
    # Said once, it stays: the teacher goes on to reach the broker as before.
    assert provision.create(remote, ["Zoë <i>Müller</i>"], file, labs=1).learners == [zoe]


@pytest.mark.parametrize("text", ["", "name,user\nAnna,anna\n", "not a table", "name,user,password,url,management\n"])
def test_a_file_that_is_no_class_is_not_written_over(remote, api, file, text):
    file.write_text(text)
    before = everything(api)
    with pytest.raises(InvalidOption, match="not replaced"):
        provision.create(remote, ["Anna"], file)
    assert (file.read_text(), everything(api)) == (text, before)
