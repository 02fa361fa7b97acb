"""The rule of dependencies is checked by import-linter, and import-linter would notice a breach of it."""

import itertools
import os
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
    """One forbidden import: `package` gets a module with `source`, and `contract` must be reported as broken."""

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

    def lint_with(self, breach: Breach) -> subprocess.CompletedProcess[str]:
        """The same while the breach is there."""
        planted = self._folder / _folder(breach.package) / "planted.py"
        planted.write_text(f"{breach.source}\n")
        try:
            return self.lint()
        finally:
            planted.unlink()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """One copy serves all breaches, one after the other."""
    return Tree(tmp_path_factory.mktemp("tree"))


def test_the_project_keeps_every_contract(tree: Tree) -> None:
    """As it is, no contract is broken."""
    result = tree.lint()

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(CONFIG['contracts'])} kept, 0 broken." in result.stdout


@pytest.mark.parametrize("breach", list(_breaches()), ids=lambda breach: f"{breach.package}: {breach.source[-40:]}")
def test_a_forbidden_import_breaks_its_contract(tree: Tree, breach: Breach) -> None:
    """Each contract turns red for each kind of import it forbids, and is named."""
    result = tree.lint_with(breach)

    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{breach.contract} BROKEN" in result.stdout
    # A circle is reported by the package in which it is, any other breach by its import.
    reported = "No cycles are allowed in" if "circles" in breach.contract else f"{breach.package}.planted -> "
    assert reported in result.stdout
