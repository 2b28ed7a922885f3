"""What is wrong with documents and ground truth, found before any model is paid for. Pure."""
