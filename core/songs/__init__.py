"""A song catalogue and its ratings: the domain, its ports and its services.

This package imports the standard library only. Storage, caching, limiting, tokens, passwords,
time and ids are ports (`songs.ports`); the use cases (`songs.application`) are written against the ports alone.
"""
