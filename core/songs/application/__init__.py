"""What the service does, written against the ports alone: one unit of work a use case."""
