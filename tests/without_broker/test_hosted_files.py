"""What can be told of the files for containers, hosted editors, Binder and public CI without any of these."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from rpclab.broker import compose, install

ROOT = compose.compose_file().parent
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
SERVICES = yaml.safe_load(compose.compose_file().read_text())["services"]
NODES = sorted(name for name, service in SERVICES.items() if service.get("profiles") == ["cluster"])
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
WORKFLOW = WORKFLOWS["tests"]
DEVCONTAINER = (ROOT / ".devcontainer" / "devcontainer.json").read_text()


def supported() -> SpecifierSet:
    """Return the versions of Python that pyproject.toml allows."""
    return SpecifierSet(re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text())[1])


def copied() -> list[str]:
    """Return what the Dockerfile copies out of the repository."""
    return [source for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.M) for source in line.split()[:-1]]


# --- docker-compose.yml and the image


def test_plain_up_brings_up_the_broker_alone():
    assert [name for name, service in SERVICES.items() if not service.get("profiles")] == [compose.SERVICE]


def test_every_port_is_published_on_loopback_and_by_one_service_only():
    published = [port for service in SERVICES.values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.rpartition(":")[0] for port in published}) == len(published)


def test_the_lab_waits_for_the_broker_that_it_is_told_to_use():
    lab = SERVICES["lab"]
    assert lab["depends_on"] == {compose.SERVICE: {"condition": "service_healthy"}}
    assert lab["environment"]["RPCLAB_BROKER"].endswith(f"@{compose.SERVICE}:5672")
    password = SERVICES[compose.SERVICE]["environment"]["RABBITMQ_DEFAULT_PASS"]
    assert f"{compose.USER}:{password}@" in lab["environment"]["RPCLAB_BROKER"]


def test_the_readers_home_is_kept_in_a_named_volume():
    assert SERVICES["lab"]["volumes"] == ["reader:/home/learner"]
    assert "VOLUME /home/learner" in DOCKERFILE


def test_each_node_of_the_cluster_is_named_in_its_configuration():
    text = (ROOT / "docker" / "cluster.conf").read_text()
    listed = re.findall(r"^cluster_formation\.classic_config\.nodes\.\d+ = rabbit@(\S+)$", text, re.M)
    assert listed == NODES == [SERVICES[name]["hostname"] for name in NODES]
    assert f"cluster_formation.target_cluster_size_hint = {len(NODES)}\n" in text
    assert all(f"await_online_nodes {len(NODES)} " in SERVICES[name]["healthcheck"]["test"][1] for name in NODES)


def test_the_image_ends_as_a_user_without_roots_rights():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert users
    assert users[-1] not in ("0", "root")
    assert DOCKERFILE.rindex("USER ") < DOCKERFILE.index("\nCMD ")


def test_the_images_python_is_one_that_the_course_supports():
    assert Version(re.search(r"^FROM python:([\d.]+)", DOCKERFILE, re.M)[1]) in supported()


@pytest.mark.parametrize("source", copied())
def test_what_the_dockerfile_copies_is_in_the_repository_and_not_ignored(source):
    assert (ROOT / source).exists()
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert any(source == each or source.startswith(f"{each}/") for each in kept)


def test_the_image_installs_its_requirements_before_it_gets_the_code():
    assert DOCKERFILE.index("pip install") < DOCKERFILE.index("\nCOPY rpclab rpclab\n")


# --- the dev container


def devcontainer() -> dict:
    """Return the dev container's JSON, in which whole lines may be comments."""
    return json.loads(re.sub(r"^\s*//.*$", "", DEVCONTAINER, flags=re.M))


def test_the_dev_container_has_what_make_lab_needs():
    found = devcontainer()
    assert Version(re.search(r"/python:([\d.]+)", found["image"])[1]) in supported()
    assert all(package in found["onCreateCommand"] for package in install.APT_PACKAGES)


def test_the_image_hands_the_lessons_out_to_the_readers_home():
    script = (ROOT / "docker" / "start.sh").read_text()
    assert 'cd "$HOME"\n' in script
    assert re.search(r"^exec python -m rpclab lab ", script, re.M)
    assert {"notebooks", "docker/start.sh"} <= set(copied())


def test_the_dev_container_calls_targets_that_the_makefile_has():
    found = devcontainer()
    for command in (found["updateContentCommand"], found["postAttachCommand"]):
        program, *arguments = command.split()
        done = subprocess.run([program, "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


# --- Binder


def test_binder_installs_the_broker_and_all_requirements():
    packages = (ROOT / "binder" / "apt.txt").read_text().split()
    assert set(install.APT_PACKAGES) <= set(packages)
    (line,) = re.findall(r"^-r (.+)$", (ROOT / "binder" / "requirements.txt").read_text(), re.M)
    assert (ROOT / "binder" / line).resolve() == ROOT / "requirements.txt"


def test_binder_hands_the_lessons_out_to_where_its_address_leads(tmp_path):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([ROOT / "binder" / "postBuild"], cwd=tmp_path, env=environment, check=True)
    (opened,) = re.findall(r"`lab/tree/(\S+)`", (ROOT / "docker" / "README.md").read_text())
    assert (tmp_path / opened).is_file()


def test_binders_python_is_one_that_the_course_supports():
    assert Version((ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")) in supported()


# --- continuous integration on a public host


def test_ci_tries_each_supported_python_from_the_oldest_on():
    tried = [Version(python) for python in WORKFLOW["jobs"]["broker"]["strategy"]["matrix"]["python"]]
    assert all(python in supported() for python in tried)
    oldest = min(tried)
    assert Version(f"{oldest.major}.{oldest.minor - 1}") not in supported()
    assert [python.minor for python in tried] == list(range(oldest.minor, oldest.minor + len(tried)))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_runs_our_code_on_a_public_host_may_only_read(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert "permissions" not in job or not any("run" in step for step in job["steps"])


def test_what_is_published_is_what_make_site_builds():
    (published,) = [step["with"]["path"] for step in WORKFLOWS["site"]["jobs"]["build"]["steps"]
                    if step.get("uses", "").startswith("actions/upload-pages-artifact@")]
    assert re.search(rf"^SITE := {published}$", (ROOT / "Makefile").read_text(), re.M)


def test_cis_tests_use_the_broker_that_it_starts():
    job = WORKFLOW["jobs"]["broker"]
    (service,) = job["services"].values()
    user, password = (service["env"][f"RABBITMQ_DEFAULT_{part}"] for part in ("USER", "PASS"))
    published = dict(reversed(port.split(":")) for port in service["ports"])
    assert job["env"]["RPCLAB_BROKER"] == f"amqp://{user}:{password}@127.0.0.1:{published['5672']}"
    assert job["env"]["RPCLAB_MANAGEMENT"] == f"http://127.0.0.1:{published['15672']}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_ends_in_time_and_calls_targets_that_the_makefile_has(name):
    jobs, targets = WORKFLOWS[name]["jobs"].values(), (ROOT / "Makefile").read_text()
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    commands = [run for run in runs if run.startswith("make ")]
    assert commands
    assert all(re.search(rf"^{command.split()[1]}:", targets, re.M) for command in commands)
    assert all(0 < job["timeout-minutes"] <= 60 for job in jobs)
