"""An HTTP server on loopback that refuses what OpenAI and Anthropic refuse, and replies by script.

    from seedbed.testing.vendor.server import launch_vendor

    with launch_vendor(["Hello.", Reply(fault="429", retry_after=0.2)]) as vendor:
        model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{vendor.url}/v1", api_key="test-key")

It speaks chat completions and the Messages API. The replies are written by the test: they prove
that requests, tools, streams and errors are handled, and say nothing about a model's quality.
"""
