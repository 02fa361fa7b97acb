"""The ports: what the services need of the outside world, one protocol a file.

A port's docstring is its law. Its numbered clauses (``STO-3``, ``RAT-2``) are what the contract kit tests and what
its reports cite; a clause's number is never given to another rule. Adapters implement the protocols; they need not
inherit from them.
"""
