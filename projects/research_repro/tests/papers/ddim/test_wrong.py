"""Plausible mistakes in the method turn a claim red."""

from __future__ import annotations

import pytest
import torch

from research_repro.papers.ddim import PAPER

MISTAKES = {
    "diffuse_without_root_of_alpha": ("alpha.sqrt() * images", "alpha * images"),
    "diffuse_without_root_of_noise": ("(1 - alpha).sqrt() * noise", "(1 - alpha) * noise"),
    "betas_ten_times_larger": ("linspace(1e-4, 0.02,", "linspace(1e-3, 0.2,"),
    "image_without_root_of_noise": (
        "x - (1 - alpha).sqrt() * epsilon",
        "x - (1 - alpha) * epsilon",
    ),
    "image_divided_by_alpha": ("epsilon) / alpha.sqrt()", "epsilon) / alpha"),
    "direction_missing": (" + direction + sigma * noise", " + sigma * noise"),
    "direction_ignores_sigma": ("(1 - alpha_next - sigma**2)", "(1 - alpha_next)"),
    "sigma_ignores_eta": ("sigma = eta * ((", "sigma = (("),
    "sigma_upside_down": ("((1 - alpha_next) / (1 - alpha))", "((1 - alpha) / (1 - alpha_next))"),
    "sigma_without_second_factor": (" * (1 - alpha / alpha_next).sqrt()\n    image", "\n    image"),
    "sigma_hat_without_root": ("alpha_next).sqrt() * noise", "alpha_next) * noise"),
    "sample_ignores_eta": ("alphas[after], eta, noise)", "alphas[after], 0.0, noise)"),
    "times_are_linear": ("times * i**power // steps**power", "times * i // steps"),
    "loss_on_the_image": ("noise), times), noise)", "noise), times), images)"),
    "encode_towards_the_image": ("(s[after] - s[time])", "(s[time] - s[after])"),
    "encode_without_scaling": ("network(y * alphas[time].sqrt(), times)", "network(y, times)"),
    "interpolation_is_linear": (
        "(a * first + b * second) / torch.sin(angle)",
        "(1 - fraction) * first + fraction * second",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_turns_the_equations_red(red_claims, mistake):
    def measure(module):
        errors = module("cells").equation_errors().values()
        return {"digits": {"step_error": float(torch.tensor([*errors]).max())}}

    old, new = MISTAKES[mistake]
    assert red_claims(PAPER, old, new, measure, only="equations") == {"equations"}
