"""From a picture and a trimap to alpha: one method a module, one table of them all.

The methods are functions of arrays; a network among them is handed in and never looked for.
"""
