"""The sample shop: database, documents, mails, a mail server, payments, and the demo.

It fills in what is not configured, so that everything runs at once. To do without it, delete this
folder, `tests/sample`, and in `__main__.py` the verb `demo` and two uses of `sample_shop`.
"""
