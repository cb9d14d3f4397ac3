"""Which picture matches which: features of sets, their comparison, copies told from look-alikes, chance matches."""
