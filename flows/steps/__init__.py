"""What all steps have in common: their arguments, ports, settings and order. Step types are in the rooms below."""
