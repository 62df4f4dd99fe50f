"""`make journey`: the main story, driven from outside over MLLP, HTTP and the mail sink."""
