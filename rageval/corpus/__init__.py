"""Documents and questions: formats, checks, versions, samples."""
