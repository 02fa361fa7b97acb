"""A song catalogue and its ratings: the domain, its ports and its services.

Nothing in this package imports anything but the standard library. Storage, caching, limiting, tokens, passwords,
time and ids are ports (`songs.ports`); the use cases (`songs.application`) are written against the ports alone.
"""
