"""Models that answer: what is asked of them, and how each kind finds its answer.

A session joins a row of the registry, its files and its graphs; what is done with the answer
belongs to the layers above.
"""
