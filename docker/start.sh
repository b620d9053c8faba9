#!/bin/sh
# What the container runs: the lessons in the reader's home, which is kept in a volume, and JupyterLab there.
set -eu
cd "$HOME"
# 0.0.0.0 is the container's own network; docker-compose.yml publishes the port on the machine's loopback alone.
exec python -m rpclab lab --no-browser \
    --ServerApp.ip=0.0.0.0 --ServerApp.port="$RPCLAB_LAB_PORT" \
    --ServerApp.custom_display_url="http://127.0.0.1:$RPCLAB_LAB_PORT"
