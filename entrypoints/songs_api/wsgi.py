"""The WSGI application, for any server: ``songs_api.wsgi:app``. Importing this module reads the environment."""

import os
from typing import Final

from songs_api.bootstrap.handover import STORAGE_IDENTITY, Application
from songs_api.bootstrap.startup import application
from songs_api.settings import Variables

app: Final[Application] = application(Variables.read(), identity=os.environ.pop(STORAGE_IDENTITY, None))
