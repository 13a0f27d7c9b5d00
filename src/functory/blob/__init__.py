"""Bytes by key, whole or not at all: uploaded code, large payloads."""
