"""The registry: finds adapters by name among the installed entry points, and loads only the one that is asked for.

Loading everything, as pluggy's own entry point loader does, would let one plugin with a missing driver end the program
and would let the first of two plugins with one name win silently.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import pluggy

from songs_plugins import spec as hooks
from songs_plugins.spec import API_VERSION, AdapterSpec, Port

GROUP: Final = "songs.adapters"


class PluginError(Exception):
    """An adapter cannot be had; the message says why and what to do."""


class MissingExtra(PluginError):
    """An adapter cannot be had as its driver is not installed; `command` installs it."""

    def __init__(self, message: str, command: str) -> None:
        super().__init__(message)
        self.command = command


@dataclass(frozen=True, slots=True)
class PluginState:
    """One installed plugin, for lists: its adapters, or why it cannot be used.

    `install` is the command that installs what it needs, where no more than that is missing.
    """

    name: str
    distribution: str
    version: str
    adapters: tuple[AdapterSpec, ...]
    problem: str | None
    install: str | None = None


class Registry:
    """The adapters that were installed when it was first asked.

    Args:
        find: Returns the entry points of the group; replaced by tests.
    """

    def __init__(self, find: Callable[[], Iterable[EntryPoint]] | None = None) -> None:
        self._find = find or (lambda: entry_points(group=GROUP))

    @cached_property
    def _entries(self) -> tuple[EntryPoint, ...]:
        # To find them, the metadata of every installed distribution are read: some ten milliseconds.
        return tuple(self._find())

    def names(self) -> list[str]:
        """Return the names of all installed plugins, sorted, without loading any."""
        return sorted({entry.name for entry in self._entries})

    def get(self, port: Port, name: str) -> AdapterSpec:
        """Return the descriptor of the adapter `name` for `port`, loading that plugin alone.

        Raises:
            PluginError: No adapter has that name, or two have it, it cannot be loaded, or does not offer the port.
        """
        if name not in self.names():
            msg = f"there is no adapter {name!r} for {port.value!r}; installed are: {self._offering(port)}"
            raise PluginError(msg)
        specs = self.load(name)
        for spec in specs:
            if spec.port is port:
                return spec
        offered = ", ".join(sorted(spec.port.value for spec in specs))
        msg = (
            f"the adapter {name!r} is not one for {port.value!r} but for: {offered or 'nothing'}; "
            f"installed are: {self._offering(port)}"
        )
        raise PluginError(msg)

    def _offering(self, port: Port) -> str:
        """Return the names of the adapters for a port, and of those that do not say which port they are for."""
        states = list(self.survey())
        offering = [each.name for each in states if any(spec.port is port for spec in each.adapters)]
        # One whose driver is not installed is one that can be had.
        unknown = [f"{each.name} (cannot be loaded)" for each in states if each.problem is not None]
        return ", ".join(dict.fromkeys(offering + unknown)) or "none"

    def load(self, name: str) -> tuple[AdapterSpec, ...]:
        """Return all descriptors that the plugin `name` offers.

        Raises:
            PluginError: No adapter has that name, or two have it, or it cannot be loaded.
        """
        entries = [entry for entry in self._entries if entry.name == name]
        if not entries:
            msg = f"there is no adapter {name!r}; installed are: {', '.join(self.names()) or 'none'}"
            raise PluginError(msg)
        if len(entries) > 1:
            owners = " and ".join(sorted(_distribution(entry)[0] for entry in entries))
            msg = f"the adapter {name!r} is offered by {owners}; uninstall all but one of them"
            raise PluginError(msg)
        return _load(entries[0])

    def survey(self) -> Iterator[PluginState]:
        """Yield the state of every installed plugin, sorted by name. Loads each on its own and never raises."""
        for entry in sorted(self._entries, key=lambda e: (e.name, _distribution(e))):
            adapters: tuple[AdapterSpec, ...] = ()
            problem = install = None
            try:
                adapters = self.load(entry.name)
            except PluginError as error:
                problem = str(error)
                install = error.command if isinstance(error, MissingExtra) else None
            distribution, version = _distribution(entry)
            yield PluginState(entry.name, distribution, version, adapters, problem, install)


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    return (entry.dist.name, entry.dist.version) if entry.dist else ("(unknown)", "")


def _is_of(entry: EntryPoint, module: str) -> bool:
    """Return whether a module is in the package of the plugin itself, whose own modules no extra installs."""
    return module.partition(".")[0] == entry.module.partition(".")[0]


def _load(entry: EntryPoint) -> tuple[AdapterSpec, ...]:
    distribution, _ = _distribution(entry)
    where = f"the adapter {entry.name!r} of {distribution}"
    try:
        plugin = entry.load()
    except ImportError as error:
        extra = f"[{entry.extras[0]}]" if entry.extras else ""
        module = f" needs the module {error.name!r}, which" if error.name else ""
        command = f"pip install '{distribution}{extra}'"
        msg = f"{where}{module} cannot be imported ({error}); install it: {command}"
        if extra and isinstance(error, ModuleNotFoundError) and not _is_of(entry, error.name or ""):
            raise MissingExtra(msg, command) from error
        raise PluginError(msg) from error
    except Exception as error:  # a third party's import may raise anything
        msg = f"{where} cannot be loaded: {type(error).__name__}: {error}"
        raise PluginError(msg) from error
    return tuple(_checked(spec, entry.name, where) for spec in _call(plugin, where))


def _call(plugin: object, where: str) -> list[object]:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    try:
        manager.register(plugin)
        manager.check_pending()
        answers = manager.hook.songs_adapters()
        specs = [spec for answer in answers for spec in answer]
    except Exception as error:  # pluggy's validation errors, and whatever the plugin's hook raises
        msg = f"{where} does not implement the hook 'songs_adapters': {type(error).__name__}: {error}"
        raise PluginError(msg) from error
    if not specs:
        msg = f"{where} offers no adapters; its module needs a function 'songs_adapters' marked with @hookimpl"
        raise PluginError(msg)
    return specs


def _checked(spec: object, name: str, where: str) -> AdapterSpec:
    if not isinstance(spec, AdapterSpec):
        msg = f"{where} returned {type(spec).__qualname__} where an AdapterSpec is needed"
        raise PluginError(msg)
    if spec.name != name:
        msg = f"{where} names itself {spec.name!r}; entry point and AdapterSpec must have one name"
        raise PluginError(msg)
    if spec.api_version != API_VERSION:
        msg = f"{where} is for API version {spec.api_version}; this is version {API_VERSION}: install another release"
        raise PluginError(msg)
    return spec
