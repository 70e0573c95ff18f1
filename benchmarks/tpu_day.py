"""All that only a TPU can prove, most important first: python benchmarks/tpu_day.py.

As gpu_day.py, whose stages these are, with MJX's own implementation: for a machine with TPUs, a jax for them, and no network.
All devices of the machine are used. `--stages` chooses; `--tiny` rehearses all on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpu_day import Stage, agreement, contract, repeat, same, sweep, throughput, train
from gpu_day import main as perform_all

JAX = "mjx-jax"
STAGES: dict[str, Stage] = {
    "contract_jax": Stage(300, contract(JAX)),
    "throughput_jax": Stage(420, throughput(JAX, which=slice(1, 3))),
    "push": Stage(480, train("deepmimic_g1_push", "walk", 5.0, JAX)),
    "walk": Stage(300, train("deepmimic_g1", "walk", 3.0, JAX)),
    "sweep": Stage(300, sweep(JAX)),
    "agreement": Stage(300, agreement("native", JAX)),
    "repeat": Stage(180, repeat(JAX), same),
    "throughput_native": Stage(120, throughput("native", which=slice(0, 2))),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Perform the chosen stages."""
    return perform_all(argv, STAGES, "tpu", __doc__ or "")


if __name__ == "__main__":
    raise SystemExit(main())
