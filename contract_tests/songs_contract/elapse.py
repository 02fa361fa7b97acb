"""Time that passes for the adapter, whichever clock it goes by."""

import time

from songs_contract.subject import Subject


def elapse(subject: Subject, duration_s: float) -> None:
    """Let `duration_s` seconds pass.

    An adapter in this process goes by the kit's clock, which is moved. A shared one may go by a server's clock, which
    the kit cannot move: then they really pass, so a suite asks for a second or two at most.
    """
    subject.clock.advance(duration_s)
    if subject.declares("shared"):
        time.sleep(duration_s)
