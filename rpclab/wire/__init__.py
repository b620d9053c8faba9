"""What really crosses a lab's connections."""
