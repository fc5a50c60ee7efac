"""What a trained adapter becomes: merged weights, a GGUF, OpenVINO files, a hub repository.

Nothing here trains or evaluates; each module reads a folder and writes a folder.
"""
