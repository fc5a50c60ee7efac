"""Load on an OpenAI-compatible server, for the benchmarks of llm_service.

    from load import bench
    bench.run("http://127.0.0.1:8004", concurrency=(1, 8, 16))

To load a server of your own, use Locust (`projects/llm_service/locustfile.py`) or guidellm.
"""
