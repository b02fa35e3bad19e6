"""MIMIC-CXR-JPG (Johnson et al. 2019, arXiv 1901.07042), read from the user's own copy.

tables.py reads the CSVs, images.py one JPEG, chunks.py all of them in parallel; builder.py writes and reads the
prepared set, choices.py says what is chosen of it, load.py puts them together.
"""
