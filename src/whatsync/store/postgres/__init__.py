"""The store on PostgreSQL: every verb one transaction, many calls in one commit, a few connections; made so that
several equal nodes may work on one database.
"""
