"""JSON schemas compiled to grammars that constrain generation; the replies parsed and validated.

`constrain` is the entry: schema → `schema_compiler` (with `regex`, `integer_ranges`) → `grammar`.
`schemas` converts what LangChain callers pass in, and parses replies, which `reply_text` reads.

Why not OpenVINO's own compiler, XGrammar: in 13 of 19 common combinations of keywords it ignores
one, so that invalid JSON is generated (measured with openvino-genai 2026.4.1).
"""
