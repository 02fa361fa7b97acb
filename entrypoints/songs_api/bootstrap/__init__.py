"""Putting the service together: the container, what it builds, and how it starts."""
