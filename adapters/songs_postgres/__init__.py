"""A storage for Songs API: a PostgreSQL database, for any number of processes and machines.

Read in this order: `plugin` (how it is found), `storage` and `unit` (the port), `songs`, `search`, `ratings`, `users`,
`sessions` and `coherence` (the repositories), `schema` and `preparing` (the tables), `connection`, `pool` and `errors`
(the driver), `trial` (a server for the contract kit).
"""
