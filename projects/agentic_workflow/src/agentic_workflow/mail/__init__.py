"""Mails: parsing, masking of personal data, screening, the watched mailbox."""
