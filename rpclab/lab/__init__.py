"""A notebook's own virtual host, to inspect, to record and to administer: the door to all that is below."""

from __future__ import annotations

from rpclab.lab.lab import Lab as Lab
from rpclab.lab.open_labs import current_lab as current_lab
