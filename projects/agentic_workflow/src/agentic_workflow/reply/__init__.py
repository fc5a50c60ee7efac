"""The reply to a mail: templates, a model and its checks, paragraphs of the policy documents."""
