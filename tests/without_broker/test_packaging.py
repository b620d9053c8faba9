from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

import rpclab
from rpclab import lessons

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

ROOT = Path(rpclab.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    line for file in (ROOT / "requirements.txt", ROOT / "website" / "requirements.txt")
    for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")
]
RUN_NOT_IMPORTED = {"jupyterlab", "ipykernel"}
WRITTEN_BY_A_LESSON = {"celery_addition", "shout", "utils"}


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"pika", "ipywidgets", "httpx", "cloudpickle", "psutil", "asyncio", "multiprocessing"}
    assert not heavy & loaded_by("import rpclab")


def test_a_lab_and_its_workers_load_no_widgets():
    assert "ipywidgets" not in loaded_by("from rpclab import Lab, Workers, RpcClient, AdditionServer")


def test_the_worker_processes_of_sweep_and_bench_load_no_lab():
    assert "rpclab.lab" not in loaded_by("import rpclab.sweep.attendant, rpclab.sweep.server, rpclab.bench.servers")


@pytest.mark.parametrize("name", rpclab.__all__)
def test_each_public_name_can_be_loaded_and_is_listed(name):
    assert getattr(rpclab, name) is not None
    assert name in dir(rpclab)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Nonsense"):
        rpclab.Nonsense  # noqa: B018


def test_every_lab_error_is_public():
    from rpclab import errors

    assert {name for name, found in vars(errors).items() if isinstance(found, type)} <= set(rpclab.__all__)


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_each_dependency_is_installed_within_its_range(text):
    needed = Requirement(text)
    assert version(needed.name) in needed.specifier


@pytest.mark.parametrize("text", [line for line in REQUIREMENTS if not line.startswith("-")])
def test_each_line_of_the_requirements_is_installed_within_its_range(text):
    needed = Requirement(text)
    assert version(needed.name) in needed.specifier


def test_the_requirements_take_the_package_and_with_it_its_dependencies():
    assert "-e ." in REQUIREMENTS
    named_twice = {Requirement(line).name.lower() for line in REQUIREMENTS if not line.startswith("-")} & {
        Requirement(line).name.lower() for line in PROJECT["dependencies"]
    }
    assert not named_twice


def code(path: Path) -> str:
    """Return a module's code, or that of a notebook's cells without the lines that only IPython understands."""
    if path.suffix == ".py":
        return path.read_text()
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return re.sub(r"^\s*[!%].*$", "", "\n".join(cells), flags=re.MULTILINE)


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a module or a notebook imports by absolute names."""
    found = set()
    for part in ast.walk(ast.parse(code(path))):
        if isinstance(part, ast.Import):
            found |= {alias.name.split(".")[0] for alias in part.names}
        elif isinstance(part, ast.ImportFrom) and part.level == 0:
            found.add(part.module.split(".")[0])
    return found


def test_every_package_that_is_imported_here_or_in_a_lesson_is_a_declared_dependency():
    declared = {Requirement(text).name for text in PROJECT["dependencies"]}
    used = set().union(*map(imports, [*(ROOT / "rpclab").rglob("*.py"), *lessons.originals().glob("*.ipynb")]))
    assert used - sys.stdlib_module_names - {"rpclab"} - WRITTEN_BY_A_LESSON == declared - RUN_NOT_IMPORTED


def test_the_versions_agree():
    assert PROJECT["version"] == rpclab.__version__ == version("rpclab")
