"""A new adapter's distribution, from templates: it installs, is found, and has every method still to be written."""

import importlib.util
import re
import shutil
from collections.abc import Iterator
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


def scaffold(name: str, port: Port, into: Path) -> Path:
    """Write the distribution ``songs_NAME`` into the folder `into`, and return its folder. Overwrites nothing.

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
        for path, text in _texts(name, port):
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


def _texts(name: str, port: Port) -> Iterator[tuple[Path, str]]:
    """Yield each file's path in the distribution, and its text."""
    major, minor = map(int, version("songs-api").split(".")[:2])
    words = {
        "songs-acme": f"songs-{name.replace('_', '-')}",
        "Acme": "".join(part.capitalize() for part in name.split("_")),
        "ACME": name.upper(),
        "acme": name,
        "@port@": port.value,
        "@PORT@": port.value.upper(),
        "@range@": f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}",
    }
    pattern = re.compile("|".join(map(re.escape, words)))
    for folder in ("every", port.value):
        for path, template in _files(_templates() / folder, PurePosixPath()):
            filled = pattern.sub(lambda found: words[found.group()], template.read_text(encoding="utf-8"))
            yield Path(pattern.sub(lambda found: words[found.group()], str(path))), filled


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _files(each, at / each.name)
        elif each.name.endswith(_SUFFIX):
            yield at / each.name.removesuffix(_SUFFIX), each
