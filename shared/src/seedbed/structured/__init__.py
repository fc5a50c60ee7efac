"""Answers that follow a JSON schema: the schema becomes a grammar that limits what is generated.

Why not OpenVINO's own compiler (XGrammar): of 19 ordinary combinations of keywords it ignores one
or the other in 13, so that invalid JSON is generated (measured with openvino_genai 2026.4).
`shared/tests/test_schema_table.py` has the table and fails when an upgrade changes it.
"""
