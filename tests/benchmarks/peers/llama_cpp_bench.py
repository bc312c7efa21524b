#!/usr/bin/env python3
"""Prefill and decode speed of llama.cpp on a GGUF file as it is, as JSON.

  .deps/peers/bin/python tests/benchmarks/peers/llama_cpp_bench.py [--prefill 512,2048] [--decode 512,2048] ...
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import measure  # noqa: E402

DECODED_TOKENS = 32


def has_amx():
    return "amx_tile" in Path("/proc/cpuinfo").read_text()


class Session:
    """A llama.cpp context, through the plain C interface."""

    def __init__(self, path, context_tokens, threads):
        import llama_cpp

        self.lib = llama_cpp
        llama_cpp.llama_backend_init()
        model_params = llama_cpp.llama_model_default_params()
        if has_amx():
            model_params.use_extra_bufts = False  # its AMX buffers crash on this model
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context_tokens, 2048, 512
        params.n_threads = params.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit(f"llama.cpp could not load {path}")

    def forget(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def read(self, tokens):
        """Appends tokens and waits for the logits of the last one."""
        for begin in range(0, len(tokens), 2048):
            chunk = tokens[begin : begin + 2048]
            array = (self.lib.llama_token * len(chunk))(*chunk)
            if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(array, len(chunk))) != 0:
                raise SystemExit("llama_decode failed")
        self.lib.llama_synchronize(self.context)


def silence_llama_cpp():
    import ctypes

    import llama_cpp

    silence_llama_cpp.callback = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silence_llama_cpp.callback, ctypes.c_void_p(0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_arguments(parser)
    parser.add_argument("--decode", type=measure.lengths, default=[512, 2048], help="tokens of context, comma-separated")
    arguments = parser.parse_args()

    import llama_cpp

    silence_llama_cpp()
    longest = max(arguments.prefill + arguments.decode)
    session = Session(arguments.model, longest + DECODED_TOKENS + 64, arguments.threads)
    results = []
    for length in arguments.prefill:
        tokens = measure.tokens(length)
        seconds = measure.timed(lambda: session.read(tokens), arguments.repeats, session.forget)
        results.append(measure.result("prefill", length, "Q4_1", length, seconds))
    for length in arguments.decode:
        tokens = measure.tokens(length + DECODED_TOKENS)

        def prepare():
            session.forget()
            session.read(tokens[:length])

        def decode():
            for token in tokens[length:]:
                session.read([token])

        seconds = measure.timed(decode, arguments.repeats, prepare)
        results.append(measure.result("decode", length, "Q4_1", DECODED_TOKENS, seconds))
    measure.print_report("llama.cpp", llama_cpp.__version__, arguments, results)


if __name__ == "__main__":
    main()
