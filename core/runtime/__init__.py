"""ONNX Runtime on this machine: which providers there are, and one graph on one of them.

Also what is wrong with an installation, and how to repair it; nothing here knows pictures.
"""
