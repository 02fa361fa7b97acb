"""How a request is answered, whichever it is."""
