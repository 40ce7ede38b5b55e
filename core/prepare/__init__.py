"""Between a verified file of weights and ONNX Runtime: the same network, so that it runs faster.

A graph is read without any library of ONNX's, changed where it matches a known pattern exactly,
proved to open, and kept beside its file. What matches nothing is opened as it is.
"""
