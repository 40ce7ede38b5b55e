"""Pixels: pictures in and out, masks, resizing, the colours of soft edges, cut-outs.

Arrays and Pillow pictures in and out; nothing here knows models or where alpha comes from.
"""
