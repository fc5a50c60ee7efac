"""Fields by rules: delete this folder where a vision-language model reads the documents."""
