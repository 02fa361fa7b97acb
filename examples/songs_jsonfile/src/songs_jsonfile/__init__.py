"""A storage for Songs API: one append-only file of JSON Lines, read into memory when it is opened.

Read in this order: `plugin` (how it is found), `storage` (the port, on `songs_plugins.smallest`), `lines`, and `log`
(the file).
"""
