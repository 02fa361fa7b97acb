"""The clock of the machine, and ids made of it."""
