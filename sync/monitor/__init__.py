"""What a node tells of itself: latencies, availability, anomalies (docking agreement, annex 2)."""
