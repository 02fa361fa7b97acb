"""Storage in MongoDB, on a stand-alone server, a replica set or a sharded cluster, for any number of processes.

Every write of a repository is one change of one document wherever the port asks for that, so that nothing but
`Scope.WRITE_MANY` needs transactions. `songs_mongo.ratings` says how ratings stay exact without them.
"""

from songs_mongo.client import MongoSettings
from songs_mongo.storage import MongoStorage

__all__ = ["MongoSettings", "MongoStorage"]
