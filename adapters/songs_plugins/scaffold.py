"""A new adapter's distribution, from templates: it installs, is found, and passes the kit or has every method to write.

A storage begins as a copy of `songs_plugins.smallest`, which passes; the others, and an empty one, with stubs.
"""

import importlib.util
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Final

from songs_plugins.registry import PluginError, Registry
from songs_plugins.spec import Port

PORTS: Final = (Port.STORAGE, Port.CACHE, Port.LIMITER)
"""The ports that there are templates for."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SUFFIX: Final = ".tmpl"
_COMPLETE: Final = {Port.STORAGE: "smallest.py"}
"""The modules of this package that a new adapter begins with a copy of."""


def is_complete(port: Port, *, empty: bool) -> bool:
    """Return whether a new adapter for `port` passes the contract kit."""
    return port in _COMPLETE and not empty


def scaffold(name: str, port: Port, into: Path, *, empty: bool = False) -> Path:
    """Write the distribution ``songs_NAME`` into the folder `into`, and return its folder. Overwrites nothing.

    Args:
        name: The adapter's name.
        port: Its port.
        into: A folder.
        empty: Leave every method to be written, where the port has an adapter to begin with, too.

    Raises:
        PluginError: The name cannot be one of an adapter, or is taken; the folder is there, or cannot be written.
    """
    _check(name, port)
    target = into / f"songs_{name}"
    try:
        target.mkdir()
    except FileExistsError as error:
        raise PluginError(f"{target} is there already; remove it, or give another folder with --into") from error
    except OSError as error:
        raise PluginError(f"{target} cannot be made: {error.strerror}; give another folder with --into") from error
    try:
        for path, text in _texts(name, port, complete=is_complete(port, empty=empty)):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise PluginError(f"{target} cannot be written: {error.strerror}; nothing was left of it") from error
    return target


def _check(name: str, port: Port) -> None:
    if port not in PORTS:
        raise PluginError(f"there is no template for the port {port.value!r}; there are: {', '.join(PORTS)}")
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be an adapter's name: up to 40 lower-case ASCII letters, digits and _, a letter first"
        raise PluginError(msg)
    if name in Registry().names():
        raise PluginError(f"an adapter {name!r} is installed already; take another name")
    if not _templates().is_dir():
        raise PluginError("this installation has no templates, as in our image; use one of pip's: songs-api[contract]")
    if importlib.util.find_spec(f"songs_{name}") is not None:
        raise PluginError(f"there is a Python package songs_{name} already; take another name")


def _templates() -> Traversable:
    return files("songs_plugins") / "templates"


def _texts(name: str, port: Port, *, complete: bool) -> Iterator[tuple[Path, str]]:
    """Yield each file's path in the distribution, and its text."""
    major, minor = map(int, version("songs-api").split(".")[:2])
    camel_case = "".join(part.capitalize() for part in name.split("_"))
    words = {
        "songs-acme": f"songs-{name.replace('_', '-')}",
        "Acme": camel_case,
        "ACME": name.upper(),
        "acme": name,
        "@port@": port.value,
        "@PORT@": port.value.upper(),
        "@module@": port.value if complete else "plugin",
        "@range@": f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}",
    }
    for folder in ("every", f"{port.value}_complete" if complete else port.value):
        for path, template in _files(_templates() / folder, PurePosixPath()):
            yield Path(_filled(str(path), words)), _filled(template.read_text(encoding="utf-8"), words)
    if complete:
        module = (files("songs_plugins") / _COMPLETE[port]).read_text(encoding="utf-8")
        yield (
            Path("src", f"songs_{name}", f"{port.value}.py"),
            _filled(module, {"Smallest": camel_case, "smallest": name}),
        )


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found.group()], text)


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, at / each.name)
        elif each.name.endswith(_SUFFIX):
            yield at / each.name.removesuffix(_SUFFIX), each
