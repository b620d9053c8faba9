"""``python -m rpclab check``: what a running server or client does right, tested from outside, in any language."""
