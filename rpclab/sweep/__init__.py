"""``python -m rpclab sweep``: repeats one call, and breaks something at each of its frames in turn.

`rpclab.sweep.promises` has what each run promises, `rpclab.sweep.faults` what breaks. Nothing is imported here: each
worker process of a sweep imports this, and should start quickly.
"""
