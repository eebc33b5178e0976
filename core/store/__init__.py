"""The store: one Protocol, its engines, and the layout of each table's rows."""
