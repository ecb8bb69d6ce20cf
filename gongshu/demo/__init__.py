"""`gongshu demo`: a synthetic plant, an enterprise, a partner and a province on this machine, and ten steps that hold.

The demo is a client: it starts the nodes as processes of their own and works through their HTTP interfaces with real
accounts. It must not reach into a node's services, so that what it shows is what a user gets.
"""
