"""What finished runs say of the claims of the paper: the writer of `docs/results.md`."""
