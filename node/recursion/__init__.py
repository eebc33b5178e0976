"""Resolution for others (``resolver.recursive``): handles by referrals, OIDs by DNS, GS1 keys by a GS1 resolver.

Nothing that answers for what is registered here asks it: it stands behind ``GET /v1/resolve`` alone.
"""
