"""Moving pictures in and out: videos, through PyAV, and animations, through Pillow.

Frames are Pillow pictures with their times. Nothing here knows models, or how a frame is cut out.
"""
