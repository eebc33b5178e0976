"""The dialogue of the Handle protocol: proofs, challenges, sessions, signatures."""
