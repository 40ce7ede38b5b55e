"""Alpha without a network, where a picture has a plain backdrop; the README here explains how.

Arrays in; alpha, the colours of soft edges and a confidence out.
"""
