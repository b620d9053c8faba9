"""``python -m rpclab bench``: measures the package's speed against plain pika in the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpclab.bench.notebook_chart import Chart


def chart(*, quick: bool = True) -> Chart:
    """Measure in a separate lab and return a chart: ten seconds if ``quick``, else a minute."""
    # Each worker process of the bench imports this module, and should start quickly.
    from rpclab.bench.command import rows
    from rpclab.bench.notebook_chart import Chart

    return Chart(rows(quick=quick))
