"""The settings of the service itself, in groups: each field is an environment variable ``SONGS_<FIELD>``."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from songs.ports.cache import CacheCapabilities
from songs.ports.limiter import LimiterCapabilities, RateLimit
from songs.ports.storage import StorageCapabilities
from songs_plugins import AdapterSpec, Port
from songs_plugins.processors import MOST, given_cores, usable_cores

PREFIX: Final = "SONGS_"

_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
_WINDOWS_S: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE: Final = re.compile(rf"([1-9][0-9]{{0,8}})\s*/\s*({'|'.join(_WINDOWS_S)})")
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII
)
_OWN_PORTS: Final = {"http": "80", "https": "443"}


def parse_rate(value: object) -> object:
    """Return the `RateLimit` that a text such as ``100/minute`` means, None for ``none``; other types unchanged.

    Raises:
        ValueError: The text is neither.
    """
    if not isinstance(value, str):
        return value
    if value == "none":
        return None
    match = _RATE.fullmatch(value)
    if match is None:
        msg = f"must be 'none' or a number per {', '.join(_WINDOWS_S)}, such as '100/minute'"
        raise ValueError(msg)
    return RateLimit(int(match[1]), _WINDOWS_S[match[2]])


def rate_text(rate: RateLimit) -> str:
    """Return the text that `parse_rate` turns into this limit."""
    return f"{rate.amount}/{next(name for name, window_s in _WINDOWS_S.items() if window_s == rate.window_s)}"


def parse_networks(value: object) -> object:
    """Return the networks that a text such as ``10.0.0.0/8, ::1`` lists; other types unchanged.

    Raises:
        ValueError: One of them is not an address or a network.
    """
    if not isinstance(value, str):
        return value
    return tuple(_network(part) for part in re.split(r"[\s,]+", value) if part)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        msg = f"{text!r} is not an address or a network such as 10.0.0.0/8 (without host bits)"
        raise ValueError(msg) from error


def check_bearer(value: SecretStr) -> SecretStr:
    """Return `value` if it can be sent as a bearer token and is long enough not to be guessed.

    Raises:
        ValueError: It cannot, or is not.
    """
    if _BEARER.fullmatch(value.get_secret_value()) is None:
        msg = "must be 16 or more letters, digits and -._~+/"
        raise ValueError(msg)
    return value


BearerToken = Annotated[SecretStr, AfterValidator(check_bearer)]


def parse_origins(value: object) -> object:
    """Return the origins that a text such as ``https://app.example.com, http://localhost:3000`` lists.

    Raises:
        ValueError: One of them is not as a browser would write it, and so would never be met.
    """
    if not isinstance(value, str):
        return value
    return tuple(_origin(part) for part in re.split(r"[\s,]+", value) if part)


def _origin(text: str) -> str:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not an origin such as https://app.example.com: scheme, host and port, in lower case"
        raise ValueError(msg)
    if match["port"] and match["port"] == _OWN_PORTS.get(match["scheme"]):
        msg = f"{text!r} would never be met: browsers leave the port out that the scheme has anyway"
        raise ValueError(msg)
    return text


Rate = Annotated[RateLimit | None, BeforeValidator(parse_rate)]
Origins = Annotated[tuple[str, ...], BeforeValidator(parse_origins)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(parse_networks)]


class Group(BaseModel):
    """Settings of one purpose, handed over whole. `description` of a field is the sentence of env.sample."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Deployment(Group):
    """The processes that serve, and where they listen."""

    environment: Literal["development", "production"] = Field(
        default="development",
        description="development, or production, which refuses settings that are only good for trying things out.",
    )
    server: Literal["granian", "gunicorn"] = Field(
        default="granian", description="The HTTP server that `songs serve` starts: granian or gunicorn."
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="The port to listen on; 0 picks a free one.")
    workers: int = Field(
        default=1,
        ge=1,
        le=MOST,
        description="Processes; more than one needs a storage that is shared. Unset, one for each core where storage, "
        "cache and limiter are shared and SONGS_JWT_SECRET is set; else one.",
    )
    pin_workers: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Whether each process is bound to a core of its own: yes, no, or auto, which does so where there "
        "are as many processes as cores.",
    )
    threads: int = Field(default=32, ge=4, le=1024, description="Requests that one process works on at once.")


class Selection(Group):
    """The names of the adapters."""

    storage: str = Field(
        default="sqlite",
        min_length=1,
        description="The storage: memory, sqlite, mongo, postgres, or one of yours. "
        "Without sqlite the default is memory.",
    )
    cache: str = Field(default="none", min_length=1, description="The cache: none, memory, redis, or one of yours.")
    limiter: str = Field(
        default="memory", min_length=1, description="The rate limiter: none, memory, redis, or one of yours."
    )
    tokens: str = Field(default="jwt", min_length=1, description="The adapter that issues and verifies access tokens.")
    passwords: str = Field(default="bcrypt", min_length=1, description="The adapter that hashes passwords.")


class Limits(Group):
    """The rate limits; None is none."""

    limiter_default: Rate = Field(
        default="100/minute",
        validate_default=True,
        description="Requests of one user, or of one address on public routes: a number per second, "
        "minute, hour or day; or none.",
    )
    limiter_register: Rate = Field(
        default="20/hour",
        validate_default=True,
        description="Registrations from one address; written as the limit above.",
    )
    limiter_sign_in: Rate = Field(
        default="10/minute", validate_default=True, description="Sign-ins with one username from one address."
    )
    limiter_sign_in_address: Rate = Field(
        default="30/minute", validate_default=True, description="Sign-ins from one address, whatever the username."
    )
    limiter_sign_in_user: Rate = Field(
        default="30/hour",
        validate_default=True,
        description="Sign-ins with one username from anywhere; beyond it each address has 10 an hour.",
    )


class AccountSettings(Group):
    """Registration, passwords and the lifetimes of tokens."""

    registration: Literal["open", "closed"] = Field(
        default="open", description="Whether anyone may register: open or closed."
    )
    password_min_length: int = Field(default=8, ge=8, le=128, description="The shortest new password, in characters.")
    access_token_ttl_s: int = Field(
        default=600, ge=1, le=2_592_000, description="The lifetime of an access token, in seconds."
    )
    refresh_token_ttl_s: int = Field(
        default=2_592_000,
        ge=1,
        le=31_536_000,
        description="The maximum lifetime of a session after its sign-in, in seconds.",
    )
    refresh_token_idle_s: int = Field(
        default=604_800,
        ge=1,
        le=31_536_000,
        description="The lifetime of a refresh token that is not used, in seconds.",
    )


class CacheSettings(Group):
    """The use of the cache."""

    cache_ttl_s: float = Field(
        default=300.0, gt=0, le=86_400, description="The time that the cache may keep an entry, in seconds."
    )


class HttpSettings(Group):
    """Requests: their time, their bodies, and what proxies and browsers add."""

    deadline_s: float = Field(
        default=3.0, gt=0, le=60, description="The time that a request may wait for the storage, in seconds."
    )
    max_body_bytes: int = Field(
        default=65_536, ge=1024, le=16_777_216, description="The maximum size of a request body."
    )
    body_timeout_s: float = Field(
        default=10.0, ge=1, le=300, description="The time that a client may take to send a request body, in seconds."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Networks of trusted proxies, separated by commas, whose forwarded addresses are used."
    )
    forwarded_header: Literal["auto", "x-forwarded-for", "forwarded"] = Field(
        default="auto",
        description="The header in which trusted proxies say it: x-forwarded-for, forwarded (RFC 7239), or auto, which "
        "is the former, and refused in production on granian: there a proxy must drop X_Forwarded_For.",
    )
    page: Literal["on", "off"] = Field(
        default="on", description="Whether the page to look at, search and rate songs is served at /: on or off."
    )
    cors_origins: Origins = Field(
        default=(), description="Origins, separated by commas, whose pages may call the service from a browser."
    )


class DemoSettings(Group):
    """The demo."""

    demo_catalogue: Path | None = Field(
        default=None,
        description="A file for `songs demo` instead of the bundled catalogue: JSON Lines, a JSON array, or .gz.",
    )


class TelemetrySettings(Group):
    """Logs and metrics."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The minimum level that is logged: debug, info, warning or error."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="The form of log lines: json, text, or auto, which is json in production and text elsewhere.",
    )
    audit_log: Path | None = Field(
        default=None,
        description="The file to which commands append a line for what they change; the log of a container is "
        "/proc/1/fd/2. Unset, they write to standard error, or to the system's log where standard error is a terminal.",
    )
    metrics_token: BearerToken | None = Field(
        default=None, description="The bearer token for /metrics. Unset, there is no /metrics."
    )


class ServiceSettings(BaseModel):
    """The settings of the service in groups, in the order in which lists show them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deployment: Deployment = Deployment()
    adapters: Selection = Selection()
    limits: Limits = Limits()
    accounts: AccountSettings = AccountSettings()
    cache: CacheSettings = CacheSettings()
    http: HttpSettings = HttpSettings()
    demo: DemoSettings = DemoSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


GROUPS: Final = {name: cast("type[Group]", field.annotation) for name, field in ServiceSettings.model_fields.items()}
"""The groups by their names in `ServiceSettings`."""


def default_workers(specs: Mapping[Port, AdapterSpec]) -> int:
    """Return one process for each core, where all that they must have in common is shared; else 1."""
    return usable_cores() if all(_is_shared(spec) for spec in specs.values()) else 1


def cores_to_pin(pin: str, workers: int) -> tuple[int, ...]:
    """Return the cores to which workers are bound, each to one; none if they are not.

    Args:
        pin: ``yes``, ``no``, or ``auto``: where the workers take all cores that this process was given. With fewer, or
            with a quota of less, other programs would meet them on the same cores while others are idle.
        workers: How many there are.
    """
    cores = given_cores()
    whole = len(cores) > 1 and usable_cores() == len(cores) <= workers
    return cores if pin == "yes" or (pin == "auto" and whole) else ()


def _is_shared(spec: AdapterSpec) -> bool:
    match spec.capabilities:
        case StorageCapabilities(shared=shared):
            return shared
        case CacheCapabilities(shared=shared, keeps=keeps):
            return shared or not keeps
        case LimiterCapabilities(shared=shared, limits=limits):
            return shared or not limits
    return True
