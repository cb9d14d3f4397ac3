"""Copy detection: is this picture an edited copy of that one?"""
