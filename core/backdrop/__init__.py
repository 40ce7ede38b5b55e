"""Alpha without a network, for images with a plain backdrop; the README here explains how.

Arrays in; alpha, the colours of soft edges and a confidence out. The constants of these modules
were tuned by hand on the 70 composites of tests/bench/backdrop.py, unless a comment names another
source. Colours, and distances between colours, are in levels of 0..255.
"""
