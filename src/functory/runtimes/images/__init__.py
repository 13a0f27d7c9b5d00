"""Container images: from a registry, a folder or an archive to read-only layers that instances are rooted in."""
