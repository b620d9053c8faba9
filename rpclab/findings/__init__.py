"""What is wrong in a story, by rules that name the messages that show it."""

from __future__ import annotations

from rpclab.findings.diagnosis import Diagnosis as Diagnosis
from rpclab.findings.diagnosis import diagnose as diagnose
from rpclab.findings.rule import Finding as Finding
