"""Work on pixels: images in and out, masks, resizing, framing, colours of soft edges, cut-outs.

Arrays and Pillow images in and out; nothing here depends on models or on where alpha comes from.
"""
