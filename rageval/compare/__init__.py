"""Two runs -> what may be said about their difference: pairing, comparability, verdicts, the gate, and its pages."""
