"""The command line. It talks to a node through the SDK, that is through the public API; `up` alone starts one."""
