"""A new adapter's distribution: it installs where nothing can be fetched, is found, and is green or says what to do."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.running import HANGS_S

from songs.ports.coherence import CoherenceRepository
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.users import UserRepository
from songs_plugins import Port
from songs_plugins.registry import PluginError
from songs_plugins.scaffold import PORTS, scaffold

INSTALL = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--editable"]
STYLE = ["--no-cache", "--isolated", "--line-length=120", "--check"]
FIRST = {Port.STORAGE: "STO-1", Port.CACHE: "CACHE-1", Port.LIMITER: "LIM-1"}


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder."""
    environment = {**os.environ, "COLUMNS": "300", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False
    )


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a virtual environment that sees what is installed here, and into which more can be."""
    run(tmp_path, sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    installed = tmp_path / "venv" / sysconfig.get_path("purelib", vars={"base": "", "platbase": ""}).lstrip("/")
    (installed / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return tmp_path / "venv" / "bin" / "python"


def test_from_nothing_to_the_first_replaced_piece(tmp_path: Path, python: Path, project_root: Path) -> None:
    """Made by the command in an empty folder and installed, it is listed, and green with the guide's first piece.

    That it is green before is tested where the wheel is (tox.ini), at the price of another run of the kit.
    """
    empty = tmp_path / "empty"
    empty.mkdir()
    songs: list[str | Path] = [python, "-c", "from songs_api.cli import main; main()"]
    guide = (project_root / "docs" / "writing-an-adapter.md").read_text()

    made = run(empty, *songs, "adapters", "new", "acme")
    installed = run(empty, python, *INSTALL, empty / "songs_acme")
    replace_first_piece(guide, empty / "songs_acme" / "src" / "songs_acme" / "storage.py")
    listed = run(empty, *songs, "plugins", "--json")
    held = run(empty, *songs, "contract", "acme")

    assert (made.returncode, installed.returncode) == (0, 0), made.stderr + installed.stderr
    assert made.stdout.endswith("  songs contract acme\n")
    assert ("acme", "ok") in {(each["name"], each["state"]) for each in json.loads(listed.stdout)}
    assert held.returncode == 0, held.stdout + held.stderr
    (verdicts,) = re.findall(r"^acme: .* declared unsupported$", held.stdout, re.MULTILINE)
    assert verdicts in guide
    assert "works after all: storage: durable" in held.stdout


def test_the_first_replaced_piece_is_in_order(tmp_path: Path, project_root: Path) -> None:
    """The linter and the formatter accept the module with the changes that the guide shows."""
    folder = scaffold("acme", Port.STORAGE, tmp_path)
    replace_first_piece(
        (project_root / "docs" / "writing-an-adapter.md").read_text(), folder / "src" / "songs_acme" / "storage.py"
    )

    linted = run(folder, sys.executable, "-m", "ruff", "check", *STYLE[:-1], "--select=E,F,I", ".")
    formatted = run(folder, sys.executable, "-m", "ruff", "format", *STYLE, ".")

    assert linted.returncode == 0, linted.stdout
    assert formatted.returncode == 0, formatted.stdout


def replace_first_piece(guide: str, module: Path) -> None:
    """Make the changes that the guide shows as differences; each has to fit in one place."""
    text = module.read_text()
    for change in re.findall(r"^```diff\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        lines = [(line[:1], line[1:]) for line in change.splitlines(keepends=True)]
        before = "".join(line or "\n" for sign, line in lines if sign != "+")
        assert text.count(before) == 1, before
        text = text.replace(before, "".join(line or "\n" for sign, line in lines if sign != "-"))
    module.write_text(text)


def test_the_guide_shows_the_smallest_storage(tmp_path: Path, project_root: Path) -> None:
    """What it shows of it is there to the letter."""
    guide = (project_root / "docs" / "writing-an-adapter.md").read_text()
    chapter = guide.partition("### The smallest storage")[2].partition("\n### ")[0]
    shown = re.findall(r"^```python\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)

    storage = (scaffold("acme", Port.STORAGE, tmp_path) / "src" / "songs_acme" / "storage.py").read_text()

    assert shown
    assert [each for each in shown if each not in storage] == []


@pytest.mark.parametrize("port", PORTS)
def test_every_port(tmp_path: Path, port: Port) -> None:
    """Each port's stubs run the kit, which fails once, at the first method that is missing."""
    scaffold("acme", port, tmp_path, empty=True)
    source = tmp_path / "songs_acme" / "src"
    report = tmp_path / "report.json"
    options = ["--songs-adapter", "songs_acme.plugin:songs_adapters", "--songs-report-json", str(report)]
    kit = ["-p", "songs_contract.plugin", "-p", "no:randomly", "-q", "--pyargs", "songs_contract.suites"]

    run(source, sys.executable, "-m", "pytest", *kit, *options, "--basetemp", tmp_path / "places")

    document = json.loads(report.read_text())
    assert [each["clauses"] for each in document["failures"]] == [[FIRST[port]]]
    assert document["failures"][0]["cause"].endswith(".open is not written yet: write it.")
    assert {each["verdict"] for each in document["clauses"] if each["id"] != FIRST[port]} == {"not tested"}


REPOSITORIES = (SongRepository, RatingRepository, UserRepository, SessionRepository, CoherenceRepository)


@pytest.mark.parametrize("empty", [False, True])
def test_repositories_have_the_signatures_of_the_port(tmp_path: Path, empty: bool) -> None:
    """Each method takes and returns what its port says, whether it is written or to be written."""
    modules = (scaffold("acme", Port.STORAGE, tmp_path, empty=empty) / "src" / "songs_acme").glob("*.py")
    classes = [each for path in modules for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef)]

    for port in REPOSITORIES:
        name = f"Acme{port.__name__.removesuffix('Repository')}"
        methods = _methods(next(each for each in classes if each.name.removesuffix("s") == name.removesuffix("s")))
        declared = _methods(ast.parse(inspect.getsource(port)).body[0])
        assert {each: methods.get(each) for each in declared} == declared


def _methods(found: ast.stmt) -> dict[str, tuple[str, str | None]]:
    """Return the parameters and the result of each method of a class, as they are written."""
    assert isinstance(found, ast.ClassDef)
    methods = [each for each in found.body if isinstance(each, ast.FunctionDef)]
    return {
        each.name: (ast.unparse(each.args), ast.unparse(each.returns) if each.returns else None) for each in methods
    }


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("port", PORTS)
def test_what_is_made_is_formatted(tmp_path: Path, port: Port, empty: bool) -> None:
    """The formatter has nothing to change, and no placeholder of the template is left."""
    folder = scaffold("acme_db", port, tmp_path, empty=empty)

    formatted = run(folder, sys.executable, "-m", "ruff", "format", *STYLE, ".")
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]

    assert formatted.returncode == 0, formatted.stdout
    assert [
        text
        for text in texts
        if re.search(r"@(port|PORT|range|module)@|acme(?!_db|-db)|Acme(?!Db)|ACME(?!_DB)|[Ss]mallest (?!thing)", text)
    ] == []


@pytest.mark.thorough
def test_what_is_made_is_typed(tmp_path: Path) -> None:
    """A strict type checker finds nothing, whatever the port."""
    for port in PORTS:
        scaffold(f"acme_{port}", port, tmp_path)
    scaffold("acme_empty", Port.STORAGE, tmp_path, empty=True)

    checked = run(tmp_path, sys.executable, "-m", "mypy", "--strict", *sorted(tmp_path.glob("*/src/*")))

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acme", "cannot be an adapter's name"),
        ("1acme", "cannot be an adapter's name"),
        ("", "cannot be an adapter's name"),
        ("../acme", "cannot be an adapter's name"),
        ("acme-db", "cannot be an adapter's name"),
        ("a" * 41, "cannot be an adapter's name"),
        ("memory", "an adapter 'memory' is installed already"),
        ("plugins", "there is a Python package songs_plugins already"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    """A name that is none, or is taken, is refused before anything is written."""
    with pytest.raises(PluginError, match=message):
        scaffold(name, Port.STORAGE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Where something of that name is, a file or a folder, it is left as it is."""
    (tmp_path / "songs_acme").write_text("mine")
    with pytest.raises(PluginError, match="is there already"):
        scaffold("acme", Port.STORAGE, tmp_path)
    assert (tmp_path / "songs_acme").read_text() == "mine"


def test_a_port_without_a_template(tmp_path: Path) -> None:
    """The message names the ports that there are templates for."""
    with pytest.raises(PluginError, match="no template for the port 'clock'; there are: storage, cache, limiter"):
        scaffold("acme", Port.CLOCK, tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The message names the folder and what to do."""
    with pytest.raises(PluginError, match=r"nowhere/songs_acme cannot be made: No such file .* --into"):
        scaffold("acme", Port.STORAGE, tmp_path / "nowhere")


def test_an_installation_without_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image of the service has none: that is told, and nothing is made."""
    monkeypatch.setattr("songs_plugins.scaffold.files", lambda _: tmp_path)

    with pytest.raises(PluginError, match=r"no templates, as in our image; .*songs-api\[contract\]"):
        scaffold("thing", Port.STORAGE, tmp_path)

    assert list(tmp_path.iterdir()) == []
