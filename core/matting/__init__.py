"""From an image and a trimap to alpha: one module for each method, and a table of all.

The methods are functions of arrays. The network that one of them needs is passed in.
"""
