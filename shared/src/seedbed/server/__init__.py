"""HTTP services: the FastAPI factory, its middleware, API keys, and pages in Gradio."""
