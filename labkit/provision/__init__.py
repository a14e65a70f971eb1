"""Make the machines what cluster.json says they are."""
