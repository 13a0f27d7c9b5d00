"""What runs inside the sandbox. Imports nothing of ours, and as little as it can of anything else."""
