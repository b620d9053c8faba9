"""How a lab's messages are told: as a sequence, a table, a timeline, and pictures that move, live or wound back."""
