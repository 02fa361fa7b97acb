"""The contract kit: holds any adapter to the numbered clauses of its port.

    songs contract NAME

or, with more control,

    pytest -p songs_contract.plugin --pyargs songs_contract.suites --songs-adapter NAME

where NAME is that of an installed adapter, or ``module:attribute`` for one that is not registered: an `AdapterSpec`,
several, or a function that returns them.
"""
