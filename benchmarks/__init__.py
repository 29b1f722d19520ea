"""A script for each measured claim: ``python -m benchmarks.NAME``. ComfyUI is importable in all of them."""

import torch

from support.bootstrap import use_host

use_host(cpu=not torch.cuda.is_available())
