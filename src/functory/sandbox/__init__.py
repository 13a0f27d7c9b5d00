"""Boxes that run one process tree each."""
