"""The services: what the program does, written against the ports alone."""
