"""Where results are kept, how they are written, and which are there."""
