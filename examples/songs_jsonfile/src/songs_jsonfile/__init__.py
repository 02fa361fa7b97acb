"""A storage for Songs API: one append-only file of JSON Lines, read into memory when it is opened.

Read in this order: `plugin` (how it is found), `storage` and `unit` (the port), `songs`, `ratings`, `accounts` and
`coherence` (the repositories), `state` (the data in memory), `changes` (the lines), `log` and `journal` (the file).
"""
