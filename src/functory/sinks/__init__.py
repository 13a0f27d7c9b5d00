"""Where results and events go: each sink delivers one thing safely more than once. The seam is `sinks.base`."""
