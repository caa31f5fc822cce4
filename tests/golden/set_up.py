"""Imported before torch: one thread, and of every library the code path that each x86-64 processor has, so
that machines agree on the bits. Nothing is fetched from a model hub."""

import os

os.environ.update(
    ATEN_CPU_CAPABILITY="default",
    MKL_CBWR="COMPATIBLE",
    ONEDNN_MAX_CPU_ISA="SSE41",
    HF_HUB_OFFLINE="1",
)

import torch
import transformers

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
