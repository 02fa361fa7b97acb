"""Whole storages: compared, copied and checked, through the ports."""
