"""The files of models: found on this machine, verified, or brought to it.

The one room that speaks to the network; it knows files and their sources, and nothing of what a
network computes.
"""
