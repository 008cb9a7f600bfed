"""Published figures against what is found here: the ledger, the evidence, the verdicts, their page."""
