"""What instances reach: policies, and the relay process that connects them to the world by name."""
