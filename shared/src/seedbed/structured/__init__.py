"""JSON schemas compiled to grammars that constrain generation; the replies parsed and validated.

`constrain` is the entry: schema → `schema_compiler` (with `schema_merge`, `regex`, `number_ranges`)
→ `grammar`. `schemas` converts what LangChain callers pass in, and parses replies.
"""
