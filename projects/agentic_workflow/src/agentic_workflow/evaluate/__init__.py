"""Quality figures on labelled mails, and simulation of a changed policy."""
