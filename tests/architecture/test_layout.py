"""Four source roots hold the packages, and every list of packages names them all."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "adapters", "entrypoints", "contract_tests")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY_POINTS: dict[str, str] = {
    # The extra that an adapter needs is named behind its module.
    name: value.partition(" ")[0]
    for name, value in PYPROJECT["project"]["entry-points"]["songs.adapters"].items()
}


def _packages(*roots: str) -> set[str]:
    return {path.relative_to(ROOT / root).parts[0] for root in roots for path in (ROOT / root).glob("*/**/*.py")}


def test_the_source_roots_hold_packages_and_nothing_else() -> None:
    """No module and no __init__.py lies in a source root itself: they are folders on the path, not packages."""
    strays = [path for root in SOURCE_ROOTS for path in (ROOT / root).glob("*.py*")]

    assert strays == []


def test_every_package_is_linted() -> None:
    """import-linter silently ignores a package that is missing from root_packages, so the list must be whole."""
    linted = set(PYPROJECT["tool"]["importlinter"]["root_packages"])

    assert linted == _packages(*SOURCE_ROOTS)


def test_every_package_has_a_layer() -> None:
    """The layers contract ignores packages that no layer names."""
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name for layer in layers for name in re.findall(r"\w+", layer)}

    assert _packages(*SOURCE_ROOTS) - named == set()


def test_every_package_is_first_party_to_the_import_sorter() -> None:
    """Imports sort the same whether or not a package's folder is there."""
    known = set(PYPROJECT["tool"]["ruff"]["lint"]["isort"]["known-first-party"])

    assert _packages(*SOURCE_ROOTS) - known == set()


@pytest.mark.parametrize("key", ["only-include", "sources"])
def test_the_wheel_is_built_from_the_source_roots(key: str) -> None:
    """What is importable from a checkout is importable from the wheel."""
    assert PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"][key] == list(SOURCE_ROOTS)


def test_an_editable_install_sees_the_source_roots() -> None:
    """What the wheel holds, an editable install holds."""
    assert PYPROJECT["tool"]["hatch"]["build"]["dev-mode-dirs"] == list(SOURCE_ROOTS)


@pytest.mark.parametrize("package", sorted(_packages(*SOURCE_ROOTS)))
def test_every_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    """A third party's mypy reads our annotations only where py.typed says so."""
    assert list(ROOT.glob(f"*/{package}/py.typed"))


@pytest.mark.parametrize("package", sorted(_packages("adapters") - {"songs_plugins"}))
def test_every_adapter_package_is_registered(package: str) -> None:
    """An adapter that no entry point names cannot be selected."""
    assert [module for module in ENTRY_POINTS.values() if module.partition(".")[0] == package]


@pytest.mark.parametrize(("name", "module"), ENTRY_POINTS.items())
def test_every_registered_adapter_has_its_module(name: str, module: str) -> None:
    """An entry point without its module would be listed as broken on every machine."""
    package = module.partition(".")[0]
    if package not in _packages(*SOURCE_ROOTS):
        pytest.skip(f"{package} is not written yet")

    assert list(ROOT.glob(f"*/{module.replace('.', '/')}.py")), f"{name} names {module}"


def test_the_kit_loads_into_nobody_elses_test_runs() -> None:
    """A pytest11 entry point would load the kit wherever songs-api is installed."""
    assert "pytest11" not in PYPROJECT["project"]["entry-points"]
