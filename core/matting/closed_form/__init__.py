"""Closed-form matting, solved exactly; the README in this folder explains how.

Arrays in, alpha out: it knows neither masks nor other methods.
"""
