"""Storage, cache and limiter in this process's memory: the demo mode and the test double.

They lose everything when they are closed, and are held to the same contract as those that do not.
"""
