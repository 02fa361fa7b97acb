"""Adapters with one planted defect each, which the contract kit must find.

The kit imports them as ``known_bad.MODULE:NAME``, with this package's folder on the path.
"""
