"""Durable work: put, leased, ended, and never lost in between. The seam is `queue.base`."""
