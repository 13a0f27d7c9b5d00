"""Parts of `./dev bench start`."""
