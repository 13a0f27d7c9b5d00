"""The nouns: frozen values without I/O. Everything above is written in these words."""
