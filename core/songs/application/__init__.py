"""Use cases, written against the ports alone: one unit of work for each."""
