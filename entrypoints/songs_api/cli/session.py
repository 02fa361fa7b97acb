"""Settings and an open storage for commands."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from songs.ports.storage import StorageCapabilities
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.bootstrap.user_errors import UserError
from songs_api.settings import Settings, Source, Variables, resolve
from songs_api.settings.service import PREFIX
from songs_plugins import Port
from songs_plugins.registry import Registry


def load(
    options: Mapping[str, object] | None = None,
    *,
    defaults: Mapping[str, str] | None = None,
    generate_secrets: bool = True,
) -> Settings:
    """Return the settings of the environment and ``.env``, with those options that are not None in their place.

    Args:
        options: The options given to the command.
        defaults: Defaults of the command, in place of the service's own.
        generate_secrets: As for `resolve`.

    Raises:
        SettingsError: They are wrong.
    """
    texts = {PREFIX + name.upper(): None if value is None else str(value) for name, value in (options or {}).items()}
    given = Variables.read().replacing(texts)
    missing = {PREFIX + name.upper(): text for name, text in (defaults or {}).items()}
    missing = {name: text for name, text in missing.items() if name not in given}
    return resolve(given.replacing(missing, Source.DEFAULT), Registry(), generate_secrets=generate_secrets)


@contextmanager
def durable_storage() -> Iterator[Container]:
    """Yield a container with the selected storage open.

    Raises:
        SettingsError: The settings are wrong.
        UserError: The storage cannot be opened, or keeps nothing beyond this command.
    """
    settings = load()
    capabilities = settings.adapters[Port.STORAGE].spec.capabilities
    if isinstance(capabilities, StorageCapabilities) and not capabilities.durable:
        msg = (
            f"the storage {settings.service.storage!r} keeps nothing after this command; "
            f"set SONGS_STORAGE to one that does (see: songs plugins)"
        )
        raise UserError(msg)
    with opened(settings) as container:
        yield container
