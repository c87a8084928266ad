"""The rules of recommendations: what is counted, how it is ranked, and who takes part in an experiment."""
