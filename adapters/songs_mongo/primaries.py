"""Reads of the majority right after a failover, which would miss what was acknowledged before it.

A new primary has every write that a majority acknowledged, but learns which writes a majority has only when one of its
own is among them: until then a read of the majority shows an older state. A linearizable read waits for such a write.
So each process makes one of every new primary before it believes what that one says, and none otherwise.

A sharded cluster shows its clients no primaries; nothing is done there. The old primary that is cut off and does not
know it yet may still answer a process that does not know it either, for the length of an election at the most.
"""

from typing import Final

from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.topology_description import TopologyDescription

from songs_mongo.client import Client
from songs_mongo.errors import IMPOSSIBLE
from songs_mongo.schema import COHERENCE, META, Document

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
