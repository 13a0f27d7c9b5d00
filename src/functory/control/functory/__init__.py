"""Functory's own API, under `/functory/v1/`: what the official one lacks. Its contract is docs/functory-api.md."""
