"""The registry loads by name, and says what is wrong with a plugin without harming others."""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from songs_plugins import API_VERSION, AdapterSpec, Port, hookimpl
from songs_plugins.none import NoCache
from songs_plugins.registry import GROUP, PluginError, Registry

Plugin = Callable[..., EntryPoint]


def _spec(name: str = "acme", **changes: Any) -> AdapterSpec:
    settings: dict[str, Any] = {"port": Port.CACHE, "name": name, "summary": "a cache", **changes}
    return AdapterSpec(factory=_factory, **settings)


def _factory(settings: Any, context: Any) -> NoCache:
    return NoCache()


class _Distribution:
    """As much of a distribution as the registry looks at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.2"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """Make an entry point of what a module's hook returns."""
    count = 0

    def make(
        answer: object, *, name: str = "acme", owner: str = "acme-songs", hook: str = "songs_adapters"
    ) -> EntryPoint:
        nonlocal count
        count += 1
        module = ModuleType(f"acme_plugin_{count}")
        monkeypatch.setitem(sys.modules, module.__name__, module)

        def songs_adapters() -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        songs_adapters.__name__ = hook
        setattr(module, hook, hookimpl(songs_adapters))
        entry = EntryPoint(name=name, value=module.__name__, group=GROUP)
        return entry._for(_Distribution(owner))  # type: ignore[attr-defined, no-any-return]

    return make


def _problem(*entries: EntryPoint) -> str:
    with pytest.raises(PluginError) as caught:
        Registry(lambda: entries).load("acme")
    return str(caught.value)


def test_an_adapter_is_had_by_port_and_name(plugin: Plugin) -> None:
    """The descriptor that the plugin gave comes back, for its port and no other."""
    spec = _spec()
    registry = Registry(lambda: [plugin([spec])])

    assert registry.get(Port.CACHE, "acme") is spec
    with pytest.raises(PluginError, match="'acme' is not one for 'storage' but for: cache; installed are: none"):
        registry.get(Port.STORAGE, "acme")


def test_what_is_installed_is_looked_for_once(plugin: Plugin) -> None:
    """However many adapters are asked for: it takes some ten milliseconds, and every start asks for all of its own."""
    looked: list[EntryPoint] = []

    def find() -> list[EntryPoint]:
        looked.append(plugin([_spec()]))
        return looked

    registry = Registry(find)
    assert registry.names() == ["acme"]
    assert [registry.get(Port.CACHE, "acme").name for _ in range(2)] == ["acme", "acme"]
    assert [state.name for state in registry.survey()] == ["acme"]


def test_an_unknown_name_is_told_with_what_there_is(plugin: Plugin) -> None:
    """Whoever misspells a name sees the names to choose from: those for the port, and those that tell nothing."""
    mute = EntryPoint(name="mute", value="no_such_driver_anywhere", group=GROUP)
    registry = Registry(lambda: [plugin([_spec("zeta")], name="zeta"), plugin([_spec()]), mute])

    with pytest.raises(PluginError) as caught:
        registry.get(Port.CACHE, "acne")
    assert str(caught.value) == (
        "there is no adapter 'acne' for 'cache'; installed are: acme, zeta, mute (cannot be loaded)"
    )

    with pytest.raises(PluginError, match=r"for 'storage'; installed are: mute \(cannot be loaded\)$"):
        registry.get(Port.STORAGE, "acne")


def test_two_distributions_with_one_name_are_refused(plugin: Plugin) -> None:
    """Neither wins silently; both are named."""
    one, two = plugin([_spec()], owner="acme-one"), plugin([_spec()], owner="acme-two")

    assert "offered by acme-one and acme-two; uninstall all but one" in _problem(one, two)


def test_a_missing_module_says_what_to_install() -> None:
    """An ImportError becomes the name of the module and a command; an extra is part of it."""
    entry = EntryPoint(name="acme", value="no_such_driver_anywhere [fast]", group=GROUP)
    entry = entry._for(_Distribution("acme-songs"))  # type: ignore[attr-defined]

    problem = _problem(entry)
    assert "no_such_driver_anywhere" in problem
    assert "pip install 'acme-songs[fast]'" in problem


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (RuntimeError("boom"), "does not implement the hook 'songs_adapters': RuntimeError: boom"),
        ([], "offers no adapters"),
        (None, "offers no adapters"),
        (7, "does not implement the hook"),
        (["cache"], "returned str where an AdapterSpec is needed"),
        ([_spec("other")], "names itself 'other'"),
        ([_spec(api_version=API_VERSION + 1)], f"is for API version {API_VERSION + 1}"),
    ],
)
def test_a_wrong_answer_is_told(plugin: Plugin, answer: object, problem: str) -> None:
    """What a hook must not return is an error that names the plugin and its distribution."""
    told = _problem(plugin(answer))

    assert problem in told
    assert told.startswith("the adapter 'acme' of acme-songs")


def test_a_misspelt_hook_is_noticed(plugin: Plugin) -> None:
    """A hook of another name would never be called."""
    assert "songs_adaptors" in _problem(plugin([_spec()], hook="songs_adaptors"))


def test_only_what_is_asked_for_is_loaded(plugin: Plugin) -> None:
    """A plugin that ends the program when it is imported harms nobody who does not select it."""
    deadly = EntryPoint(name="deadly", value="this_module_would_raise", group=GROUP)
    registry = Registry(lambda: [plugin([_spec()]), deadly])

    assert registry.names() == ["acme", "deadly"]
    assert registry.get(Port.CACHE, "acme").name == "acme"


def test_the_survey_lists_the_broken_with_the_others(plugin: Plugin) -> None:
    """It never raises; the broken plugin has its reason, the other its adapters."""
    broken = plugin(RuntimeError("boom"), name="broken")
    states = {state.name: state for state in Registry(lambda: [broken, plugin([_spec()])]).survey()}

    assert states["acme"].problem is None
    assert [spec.name for spec in states["acme"].adapters] == ["acme"]
    assert "boom" in (states["broken"].problem or "")
    assert (states["broken"].distribution, states["broken"].version) == ("acme-songs", "1.2")


def test_an_adapter_without_the_methods_is_refused() -> None:
    """Nobody else checks what a plugin returns; the port is checked when the adapter is built."""

    def factory(settings: Any, context: Any) -> object:
        return object()

    spec = AdapterSpec(port=Port.CACHE, name="acme", summary="", factory=factory)
    with pytest.raises(TypeError, match="'acme': object does not have all methods of the port 'cache'"):
        spec.build(spec.settings(), None)  # type: ignore[arg-type]


def test_the_adapters_named_none_do_nothing() -> None:
    """A cache in which nothing is found and a limiter that allows everything."""
    specs: Sequence[AdapterSpec] = Registry().load("none")

    assert {spec.port for spec in specs} == {Port.CACHE, Port.LIMITER}
