"""Cases, approvals, the outbox and the audit log in one SQL database."""
