"""The reference top node: receives the tables, reviews prefixes, refers resolvers to the responsible node."""
