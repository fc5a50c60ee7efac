"""llama.cpp's server, from the xllamacpp wheel.

python llamacpp_server.py MODEL.gguf PORT STREAMS
"""

import signal
import sys

import xllamacpp

CONTEXT = 1536  # tokens a stream: a 1000-token prefix and an answer


def main(model: str, port: int, streams: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = "smollm2"
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_parallel, params.n_ctx = streams, streams * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
