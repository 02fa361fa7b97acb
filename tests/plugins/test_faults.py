"""What lets an adapter's calls fail, as the contract kit asks for it."""

from typing import Literal

import pytest

from songs_plugins import failing


class Backend:
    """Notes its calls."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def write(self, text: str) -> int:
        """Note a text; return its length."""
        self.done.append(text)
        return len(text)

    @staticmethod
    def sync(done: list[str], *, how: str) -> None:
        """Note a sync."""
        done.append(how)


def error(when: Literal["before", "after"]) -> Exception:
    """Return the backend's error."""
    return OSError(when)


@pytest.mark.parametrize(("when", "done"), [("before", ["a"]), ("after", ["a", "b"])])
def test_one_call_fails(when: Literal["before", "after"], done: list[str]) -> None:
    """The one that is asked for, before it did anything or after it did all, on objects of before too."""
    backend = Backend()
    with failing(Backend, "write", "sync", error=error) as injector:
        injector.fail_at(2, when=when)
        assert backend.write("a") == 1
        assert not injector.failed
        with pytest.raises(OSError, match=when):
            backend.write("b")
        assert injector.failed
        assert backend.done == done
        backend.sync(backend.done, how="c")
        assert backend.done == [*done, "c"]


def test_methods_are_counted_together_until_it_is_healed() -> None:
    """A static method is one of them."""
    backend = Backend()
    with failing(Backend, "write", "sync", error=error) as injector:
        injector.fail_at(2, when="before")
        backend.write("a")
        with pytest.raises(OSError, match="before"):
            Backend.sync(backend.done, how="b")
        injector.fail_at(1, when="before")
        injector.heal()
        backend.sync(backend.done, how="c")

    assert backend.done == ["a", "c"]
    assert not injector.failed


def test_the_class_is_as_before_afterwards() -> None:
    """Whatever happened meanwhile."""
    whole = dict(vars(Backend))
    with pytest.raises(ZeroDivisionError), failing(Backend, "write", "sync", error=error):
        raise ZeroDivisionError

    assert dict(vars(Backend)) == whole
    assert Backend().write("a") == 1
