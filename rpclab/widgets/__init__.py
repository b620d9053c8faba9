"""What one clicks and watches."""
