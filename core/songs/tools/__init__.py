"""Tools that compare, copy and check whole storages, through the ports."""
