"""What may leave, enter and be shown: URLs, keys, variables, allow lists, redirects, and the files of models."""
