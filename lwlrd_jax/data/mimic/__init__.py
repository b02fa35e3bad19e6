"""MIMIC-CXR-JPG (Johnson et al. 2019, arXiv 1901.07042), read from the user's own copy."""
