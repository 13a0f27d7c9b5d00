"""HTTP manners that gateway and control share: who calls, what they may do, and errors on the wire.

signers.py     whose signature it is: a key, or temporary credentials (sessions.py); nonces.py, nonce_file.py: once only
schemes        acs3.py official SDKs · fc_v1.py API 2016 · oss_v1.py object store
               trigger_signature.py, jwt_rules.py URLs
tokens.py      call tokens · links.py signed links
access.py      what a principal may do
problems.py    every error that leaves the node · rewrite.py and tls.py: paths and certificates of custom domains
"""
