"""Mails: parsing, masking of personal data, screening, the folder of an IMAP server."""
