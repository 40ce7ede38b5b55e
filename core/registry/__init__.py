"""The models there are, as data: where their files come from, what goes in, what comes out.

A row of the table is all that is known of a model; nothing here touches the disk or the network.
"""
