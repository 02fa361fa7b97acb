"""Workers end with the process that started them."""

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_POLL_S: Final = 1.0


def end_with_parent(parent: int) -> None:
    """Let this process be killed when its parent, the process `parent`, ends.

    A server's main process that is killed leaves workers that go on serving, unknown to anyone. They are not asked but
    killed: whatever was acknowledged is stored, and one slow request could keep them for ever.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent").start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGKILL)
