"""Results as JSON and as text for people."""
