"""What is said of a pair or a picture, in words that tables and reports share."""

COPY, SAME_IDENTITY, NO_MATCH = ("copy", "same identity", "no match")
NOTHING = "shows nothing"
"""What a generated picture does in which (nearly) all pixels have one colour: it is no match, and no sample either."""
CLOSE = "close"
"""A picture without a match that is nearer to a real one than chance explains well."""
