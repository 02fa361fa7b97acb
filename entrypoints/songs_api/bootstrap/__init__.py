"""Composition and start of the service."""
