"""The widgets: to click and to watch."""
