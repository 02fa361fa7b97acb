"""Cached queries, and the protocol that keeps them from ever being stale."""
