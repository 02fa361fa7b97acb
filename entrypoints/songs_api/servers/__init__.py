"""The HTTP servers: what each of them has to be told, so that both behave alike."""
