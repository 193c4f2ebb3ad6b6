"""`make bench`: every published figure, beside its bound, in one run."""
