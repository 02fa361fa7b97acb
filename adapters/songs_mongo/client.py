"""The client: its settings, the primary that it reaches, and how attempts are paced.

*Primaries.* Right after a failover a read of the majority may miss an acknowledged write. A new primary has every write
that a majority acknowledged, but learns which writes a majority has only when one of its own is among them: until then
a read of the majority shows an older state. A linearizable read waits for such a write. So each process makes one of
every new primary before it believes what that one says, and none otherwise.

A sharded cluster shows its clients no primaries; nothing is done there. The old primary that is cut off and does not
know it yet may still answer a process that does not know it either, for the length of an election at the most.

*Attempts.* Within `pymongo.timeout` the driver repeats a command that failed in a retryable way until the time is used
up, without a pause: thousands of times a second, on a server that is in trouble. It offers no bound; it does report
each attempt to listeners, in the thread that makes it. So nothing but `Attempts.bounded` bounds a command.
"""

import logging
import random
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Final

import pymongo
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pymongo import MongoClient, ReadPreference
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, WaitQueueTimeoutError
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.read_concern import ReadConcern
from pymongo.topology_description import TopologyDescription
from pymongo.uri_parser import parse_uri

from songs.errors import StorageMismatch
from songs.ports.clock import Clock
from songs_mongo.errors import IMPOSSIBLE, NO_TRANSACTIONS
from songs_mongo.schema import COHERENCE, META, Document

_SRV: Final = "mongodb+srv://"
_FORMS: Final = "mongodb://[user:password@]host[:port][,...]/[?options] or mongodb+srv://..."


class Transactions(StrEnum):
    """Whether units of several writes are offered."""

    AUTO = "auto"
    """Where the deployment has transactions."""
    REQUIRE = "require"
    """Yes; opening fails where the deployment has none."""
    OFF = "off"
    """No."""


class MongoSettings(BaseModel):
    """The settings of the MongoDB storage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        default=SecretStr("mongodb://127.0.0.1:27017/"),
        description=f"The deployment: {_FORMS}. TLS and authentication are options of the URL; time limits, write "
        "concern, read concern and read preference are not: the storage sets its own.",
    )
    database: str = Field(
        default="songs",
        pattern=r"^[0-9A-Za-z_-]{1,63}$",
        description="The database; two services on one deployment need two.",
    )
    transactions: Transactions = Field(
        default=Transactions.AUTO,
        description="auto uses transactions where the deployment has them, require fails at the start where it has "
        "none, off never uses them.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        # The URL may hold a password: neither it, nor the driver's message about it, is repeated.
        # Taking an SRV URL apart would ask a name server; its form is that of the others.
        url = value.get_secret_value().replace("mongodb+srv://", "mongodb://", 1)
        try:
            with quiet_driver():
                parse_uri(url, warn=False)
        except OSError as error:
            msg = (
                f"names a file of certificates (tlsCAFile, tlsCertificateKeyFile) that cannot be read: {error.strerror}"
            )
            raise ValueError(msg) from None
        except (PyMongoError, ValueError, LookupError, TypeError) as error:
            if _SRV in str(error) and _SRV in value.get_secret_value():
                return value  # an option that only these URLs have
            msg = f"must have the form {_FORMS}; write characters such as / : ? @ in a password as %2F %3A %3F %40"
            raise ValueError(msg) from None
        return value


@contextmanager
def quiet_driver() -> Iterator[list[warnings.WarningMessage]]:
    """Keep the driver's warnings about a URL, which repeat parts of it, from being printed; yield them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield caught


Client = MongoClient[Document]

PATIENCE_S: Final = 5.0
"""How long `open`, which is given no deadline, waits for an answer."""
CONNECT_S: Final = 2.0
LONGEST_CALL_S: Final = 30.0
"""The bound of a command that nothing else bounds."""

_log: Final = logging.getLogger("songs_mongo")
_driver_log: Final = logging.getLogger("pymongo")


def connect(settings: MongoSettings, connections: int, listeners: Sequence[CommandListener] = ()) -> Client:
    """Return a client whose threads start with it: not before a fork.

    Each unit bounds its calls by its deadline; the limits here are what holds for everything else. They and the
    concerns win over what the URL says.

    The driver's own log is silenced below warnings, unless somebody has set its level: it holds whole commands, with
    names, hashes of passwords and of tokens, and hosts, which a mistake in the URL makes of parts of a password.
    """
    if _driver_log.level == logging.NOTSET:
        _driver_log.setLevel(logging.WARNING)
    with quiet_driver() as warned:
        client = _client(settings, connections, listeners)
    if warned:
        _log.warning(
            "the driver has doubts about the options in SONGS_MONGO_URL: one is unknown, given twice or not supported "
            "here; what it says may hold a part of the password, and is not shown"
        )
    return client


def _client(settings: MongoSettings, connections: int, listeners: Sequence[CommandListener]) -> Client:
    return MongoClient(
        settings.url.get_secret_value(),
        appname="songs-api",
        event_listeners=list(listeners),
        maxPoolSize=connections,
        serverSelectionTimeoutMS=int(PATIENCE_S * 1000),
        connectTimeoutMS=int(CONNECT_S * 1000),
        socketTimeoutMS=int(LONGEST_CALL_S * 1000),
        waitQueueTimeoutMS=int(PATIENCE_S * 1000),
        w="majority",
        journal=True,
        retryWrites=True,
        retryReads=True,
        read_preference=ReadPreference.PRIMARY,
    )


def is_replicated(client: Client) -> bool:
    """Return whether the deployment is a replica set or a sharded cluster, not a stand-alone server.

    Topology type and session timeout say less: a server of its own has sessions too.
    """
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def has_transactions(client: Client, settings: MongoSettings, *, replicated: bool) -> bool:
    """Return whether units of several writes are to be offered: try one where the settings and the deployment allow.

    Raises:
        StorageMismatch: The settings require transactions and there are none.
    """
    if settings.transactions is Transactions.OFF:
        return False
    if replicated and _can_transact(client, settings.database):
        return True
    if settings.transactions is Transactions.REQUIRE:
        raise StorageMismatch(
            "This MongoDB deployment has no transactions, which SONGS_MONGO_TRANSACTIONS=require asks for; "
            "run it as a replica set, or set SONGS_MONGO_TRANSACTIONS=auto."
        )
    _log.warning("this MongoDB deployment has no transactions: each write is atomic alone, tools cannot group them")
    return False


def _can_transact(client: Client, database: str) -> bool:
    with client.start_session() as session:
        session.start_transaction()
        try:
            # Not the start of a transaction says that there are none, but the first command in it.
            client[database][META].find_one({}, session=session)
        except OperationFailure as error:
            if error.code in NO_TRANSACTIONS:
                return False
            raise
        finally:
            session.abort_transaction()
    return True


Primary = tuple[object, object]
"""An address, and the election that it won."""

_LINEARIZABLE: Final = ReadConcern("linearizable")


class Primaries:
    """The primaries that a client has had. Thread-safe.

    Args:
        client: It belongs to a replica set, or to something that looks like one.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._confirmed: Primary | None = None
        self._last: tuple[TopologyDescription, Primary | None] | None = None

    @property
    def current(self) -> Primary | None:
        """The one that the driver knows now; None between two of them."""
        description = self._client.topology_description
        last = self._last
        if last is None or last[0] is not description:
            # The driver has another description after each of its checks, and the same one in between.
            last = self._last = description, _primary_of(description)
        return last[1]

    def confirm(self, database: Database[Document]) -> Primary | None:
        """Return the current primary, after it has shown that it knows what the majority has."""
        primary = self.current
        if primary is not None and primary != self._confirmed:
            try:
                database.get_collection(META, read_concern=_LINEARIZABLE).find_one({"_id": COHERENCE}, {"_id": 1})
            except OperationFailure as error:
                if error.code not in IMPOSSIBLE:
                    raise
            if self.current == primary:
                self._confirmed = primary
        return primary


def _primary_of(description: TopologyDescription) -> Primary | None:
    for address, server in description.server_descriptions().items():
        if server.server_type_name == "RSPrimary":
            return address, server.election_id
    return None


FIRST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.2


_SIGNING_IN: Final = frozenset({"saslStart", "saslContinue", "authenticate"})
"""Commands on a new connection, which the driver reports in between those of its caller."""


class _Run(threading.local):
    """The failures of a thread's current command."""

    failures = 0
    answer: Mapping[str, object] | None = None
    ends_at_s = float("inf")


class Attempts(CommandListener):
    """Counts the failed attempts of the command that a thread runs, and pauses before the next one. Thread-safe.

    The first repetition follows at once: it mends what is most common, a connection that was closed at the other end.
    The pauses before the others double up to `LONGEST_PAUSE_S`.

    Args:
        clock: For the pauses.
        jitter: Returns a number in 0..1: between a half and the whole of each pause is waited.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._run = _Run()

    @property
    def failures(self) -> int:
        """How many attempts have failed since `begin`, in this thread."""
        return self._run.failures

    def begin(self, budget_s: float) -> None:
        """Begin a command of this thread, which has so much time."""
        run = self._run
        run.failures, run.answer, run.ends_at_s = 0, None, self._clock.monotonic_s() + budget_s

    def bounded(self, budget_s: float) -> AbstractContextManager[None]:
        """Begin a command, or several; return what bounds them in time."""
        self.begin(budget_s)
        return pymongo.timeout(budget_s)

    def failed_before(self, error: PyMongoError) -> bool:
        """Return whether, since `begin`, an attempt has failed beside the one that raised `error`."""
        if isinstance(error, OperationFailure):
            # What was refused within a successful answer, or before a command was sent, is not among the failures.
            counted = error.details is not None and error.details == self._run.answer
        else:
            # Where no connection came free, none is.
            counted = isinstance(error, AutoReconnect) and not isinstance(error, WaitQueueTimeoutError)
        return self._run.failures > counted

    def started(self, event: CommandStartedEvent) -> None:
        """Do nothing."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Note an answer whose write concern failed: a failure, which the driver repeats too."""
        if "writeConcernError" in event.reply or "errorLabels" in event.reply:
            self._fail(event.reply)

    def failed(self, event: CommandFailedEvent) -> None:
        """Note a failure, unless it is that of signing in, after which nothing was sent."""
        if event.command_name not in _SIGNING_IN:
            self._fail(event.failure)

    def _fail(self, answer: Mapping[str, object]) -> None:
        run = self._run
        run.failures, run.answer = run.failures + 1, answer
        if run.failures > 1:
            # Its connection stays taken for as long; there are more of them than callers.
            pause_s = min(FIRST_PAUSE_S * 2 ** min(run.failures - 2, 10), LONGEST_PAUSE_S)
            left_s = run.ends_at_s - self._clock.monotonic_s()
            self._clock.sleep(max(0.0, min(pause_s * (1 + self._jitter()) / 2, left_s)))
