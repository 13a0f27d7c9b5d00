"""HTTP manners that all faces share: signatures, tokens, signed links, what a caller may do, errors on the wire."""
