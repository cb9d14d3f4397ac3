"""Re-identification: do two pictures show the same identity?"""
