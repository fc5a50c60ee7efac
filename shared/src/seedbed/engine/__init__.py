"""Text generation with OpenVINO: one thread steps the pipeline, many callers share it.

`engine` schedules the requests, `generation` is what a caller reads, `pipeline` opens OpenVINO, and
`detokenizer` turns token ids into text.
"""
