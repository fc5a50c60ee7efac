"""Text generation with OpenVINO: one thread steps the pipeline, many callers share it."""
