#!/bin/sh
# What the container runs: hand the notebooks out, then JupyterLab on the first lesson.
set -eu
python docker/hand_out.py docker/notebooks "$HOME/notebooks"
# 0.0.0.0 is the container's own network; docker-compose.yml publishes the port on the machine's loopback alone.
exec python -m rpclab lab --no-browser \
    --ServerApp.ip=0.0.0.0 --ServerApp.port="$RPCLAB_LAB_PORT" \
    --ServerApp.custom_display_url="http://127.0.0.1:$RPCLAB_LAB_PORT"
