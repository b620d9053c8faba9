"""What `Workers` is made of: one process, what runs inside it, and what can be sent to it."""
