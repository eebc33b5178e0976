"""GS1 Digital Link over HTTP: what a resolver that conforms to GS1 answers. Pure parts, and one front."""
