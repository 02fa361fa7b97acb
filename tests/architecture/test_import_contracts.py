"""The rule of dependencies is checked by import-linter, and import-linter would notice a breach of it."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "adapters", "entrypoints", "contract_tests")
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
FOLDERS: dict[str, Path] = {
    package: next(
        folder.relative_to(ROOT) for folder in ROOT.glob(f"*/{package}") if folder.parent.name in SOURCE_ROOTS
    )
    for package in CONFIG["root_packages"]
}
SIBLINGS = sorted(set(FOLDERS) - {"songs", "songs_plugins"})


def _folder(package: str) -> Path:
    top, *inner = package.split(".")
    return FOLDERS[top].joinpath(*inner)


class Breach(NamedTuple):
    """One forbidden import: `package` gets a module with `source`, and `contract` must be reported as broken by it."""

    contract: str
    package: str
    source: str


def _breaches() -> Iterator[Breach]:
    for contract in CONFIG["contracts"]:
        match contract:
            case {"type": "stdlib_only", "name": name, "package": package}:
                yield Breach(name, package, "import pydantic")
                yield Breach(name, package, "def later():\n    import pydantic")
                yield Breach(name, package, "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pydantic")
            case {"type": "layers", "name": name, "containers": [container], "layers": layers}:
                for upper, lower in itertools.pairwise(layers):
                    if (ROOT / _folder(f"{container}.{lower}")).is_dir():
                        yield Breach(name, f"{container}.{lower}", f"import {container}.{upper}")
            case {"type": "acyclic_siblings", "name": name}:
                yield Breach(name, "songs.ports", "import songs.application.ratings")
                yield Breach(name, "songs_api.settings", "import songs_api.cli")
                yield Breach(name, "songs_api.http.kernel", "import songs_api.http.app")
                yield Breach(name, "songs_contract.models", "import songs_contract.harness.driver")
            case {"type": "layers", "name": name}:
                yield from (Breach(name, "songs", f"import {upper}") for upper in sorted(set(FOLDERS) - {"songs"}))
                yield from (Breach(name, "songs_plugins", f"import {upper}") for upper in SIBLINGS)
                yield from (
                    Breach(name, sibling, f"import {other}")
                    for sibling, other in zip(SIBLINGS, SIBLINGS[1:] + SIBLINGS[:1], strict=True)
                    if sibling != other
                )
            case {"type": "confined", "name": name, "package": package, "libraries": libraries}:
                importer = "songs_plugins" if package != "songs_plugins" else "songs"
                yield from (Breach(name, importer, f"def later():\n    import {library}.part") for library in libraries)
            case _:
                raise NotImplementedError(contract)


class Tree:
    """A copy of the source roots and the contracts, in which a breach can be planted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for source_root in SOURCE_ROOTS:
            if (ROOT / source_root).exists():
                python_only = shutil.ignore_patterns("__pycache__", "*.js", "*.css")
                shutil.copytree(ROOT / source_root, folder / source_root, ignore=python_only)
        shutil.copytree(ROOT / "tests" / "architecture", folder / "tests" / "architecture")
        shutil.copy(ROOT / "pyproject.toml", folder)

    def lint(self) -> subprocess.CompletedProcess[str]:
        """Run lint-imports on this copy and no other."""
        path = os.pathsep.join(str(self._folder / source_root) for source_root in SOURCE_ROOTS)
        return subprocess.run(
            [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"},
            check=False,
            capture_output=True,
            text=True,
        )

    def plant(self, breach: Breach, name: str) -> None:
        """Let a package get a module with a breach."""
        (self._folder / _folder(breach.package) / f"{name}.py").write_text(f"{breach.source}\n")


def _name(breach: Breach) -> str:
    return f"{breach.package}: {breach.source[-40:]}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy as it is."""
    return Tree(tmp_path_factory.mktemp("tree"))


CIRCLES = [breach for breach in _breaches() if "circles" in breach.contract]
OTHERS = [breach for breach in _breaches() if "circles" not in breach.contract]


def _reports(folder: Path, breaches: list[Breach]) -> dict[str, str]:
    """Return the report of each broken contract of a copy with all of these breaches, which no other module imports."""
    tree = Tree(folder)
    for number, breach in enumerate(breaches):
        tree.plant(breach, f"planted_{number}")
    result = tree.lint()
    assert result.returncode == 1, result.stdout + result.stderr
    _, _, broken = result.stdout.partition("Broken contracts\n")
    parts = re.split(r"^(.+)\n-+$", broken, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is reported where all but the circles are planted."""
    return _reports(tmp_path_factory.mktemp("others"), OTHERS)


@pytest.fixture(scope="module")
def circles(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is reported where the circles are planted, each in a package of its own."""
    (contract,) = {breach.contract for breach in CIRCLES}
    return _reports(tmp_path_factory.mktemp("circles"), CIRCLES)[contract]


def test_the_project_keeps_every_contract(tree: Tree) -> None:
    """As it is, no contract is broken."""
    result = tree.lint()

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(CONFIG['contracts'])} kept, 0 broken." in result.stdout


@pytest.mark.parametrize("number", range(len(OTHERS)), ids=lambda number: _name(OTHERS[number]))
def test_a_forbidden_import_breaks_its_contract(reports: dict[str, str], number: int) -> None:
    """Each contract reports each kind of import that it forbids."""
    breach = OTHERS[number]

    assert f"- {breach.package}.planted_{number} -> " in reports[breach.contract]


@pytest.mark.parametrize("breach", CIRCLES, ids=_name)
def test_a_circle_breaks_its_contract(circles: str, breach: Breach) -> None:
    """It is reported by the package in which it is."""
    imported = breach.source.removeprefix("import ")
    both = zip(breach.package.split("."), imported.split("."), strict=False)
    package = ".".join(ours for ours, _ in itertools.takewhile(lambda names: names[0] == names[1], both))

    assert f"No cycles are allowed in {package}.\n" in circles
