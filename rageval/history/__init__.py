"""Many runs -> how each metric went."""
