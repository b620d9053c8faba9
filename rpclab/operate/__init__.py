"""Operating a running system by code: fire requests, command processes, inject faults, watch a queue."""
