"""``python -m rpclab watch``: any program's messages, live in a terminal, through a tap in front of any broker."""
