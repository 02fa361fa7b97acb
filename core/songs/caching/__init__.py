"""Cached queries, and the protocol that keeps them from being stale."""
