"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al. 2021, arXiv 2106.09685)."""

from pathlib import Path

from research_repro.paper import Deviation, Paper
from research_repro.papers.lora.cells import cells, run_cell
from research_repro.papers.lora.claims import CLAIMS
from research_repro.papers.lora.figures import FIGURES

PAPER = Paper(
    folder=Path(__file__).parent,
    name="lora",
    title="LoRA: Low-Rank Adaptation of Large Language Models",
    authors="Edward J. Hu et al.",
    year=2021,
    url="https://arxiv.org/abs/2106.09685",
    summary="Freeze a pre-trained model and train the product of two small matrices beside each"
    " weight: fine-tuning's quality with a fraction of its parameters. Here with SmolLM2 on"
    " data-to-text, and with a tiny Llama for ranks, matrices and subspaces. Table 1, the latency"
    " of adapters, is left out: milliseconds depend on what else runs on a machine.",
    claims=CLAIMS,
    cells=cells,
    run_cell=run_cell,
    seeds={"smoke": (0, 1), "laptop": (0, 1, 2)},
    deviations=(
        Deviation(
            "RoBERTa, DeBERTa, GPT-2 medium and large, GPT-3 175B",
            "SmolLM2-135M, and a Llama of 0.8 M parameters (smoke: 0.1 M) pre-trained here",
            "Hours on two cores; the tiny model makes sweeps and several bases affordable.",
        ),
        Deviation(
            "GLUE, WikiSQL, SAMSum, E2E NLG, WebNLG, DART",
            "restaurant descriptions from a grammar of our own, 300 test records (smoke: 60)",
            "Runs without a download.",
        ),
        Deviation(
            "5 epochs; a learning rate of 2e-4 for LoRA on E2E",
            "80 steps of 8 at 2e-3 (SmolLM2), 150 of 16 at 1e-2 (tiny Llama; smoke: 60)",
            "Minutes a run. Fewer steps need larger learning rates, one per method.",
        ),
        Deviation(
            "BLEU, NIST, METEOR, ROUGE-L, CIDEr",
            "BLEU and slot accuracy",
            "METEOR and CIDEr need Java or a download. Slot accuracy shows wrong facts.",
        ),
        Deviation(
            "Figures 3 and 4 and Table 7 with the 48th layer of GPT-3",
            "the mean over W_q and W_v of all layers of the tiny Llama",
            "No layer is picked by its result.",
        ),
    ),
    figures=FIGURES,
    libraries=("torch", "transformers", "numpy", "sacrebleu"),
)
