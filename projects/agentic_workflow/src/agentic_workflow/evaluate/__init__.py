"""Quality figures on labelled mails."""
