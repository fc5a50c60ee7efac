"""A sample shop: database, mails, an SMTP server and a payment API."""
