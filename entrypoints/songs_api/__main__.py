"""The command ``songs``, also as ``python -m songs_api``."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process with its exit status."""
    # Python would answer Ctrl-C with a traceback of whatever it is importing. Nothing has begun yet: ending will do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from songs_api.servers.processes import open_standard_streams  # noqa: PLC0415 - after the line above

    open_standard_streams()
    from songs_api import cli  # noqa: PLC0415 - after all of these

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
