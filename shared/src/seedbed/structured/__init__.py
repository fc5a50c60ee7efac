"""JSON schemas compiled to grammars that constrain generation; the replies parsed and validated.

`constrain` is the entry: schema → `schema_compiler` (with `regex`) → `grammar`.
`schemas` converts what LangChain callers pass in, and parses replies, which `reply_text` reads.

Why not OpenVINO's own compiler, XGrammar (openvino-genai 2026.4.1): it compiles a schema in a step
that all requests wait for, 25 s for 1,000 optional properties, and they fail if it cannot. Of 32
schemas that are guaranteed here, SmolLM2-135M's replies were valid for 24, with more tokens.
"""
