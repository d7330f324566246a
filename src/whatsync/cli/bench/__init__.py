"""``whatsync bench``: a real server, a real receiver and a load generator on this machine, and what they reached.

Measures from outside, over HTTP; knows nothing of the server's insides.
"""
