"""The card of a shared model: what its file says of it, and how to use it."""

from __future__ import annotations

from typing import Any

from reddit.checkpoint.build import build_network
from reddit.checkpoint.format import CheckpointInfo
from reddit.checkpoint.shapes import is_half_precision
from reddit.config.yaml_files import dump_yaml
from reddit.models import count_parameters
from reddit.utils.text import counted

LIBRARY = "library_name: reddit-llie"
METHODS = {
    "teacher": "a teacher, trained on pairs",
    "reddit": "a student of ReDDiT (step-halving distillation with reflectance-aware trajectory refinement)",
    "progressive": "a student of progressive distillation",
    "consistency": "a student of consistency distillation",
    "reflow": "a student of reflow",
    "regression": "trained on the ground truth alone, in one step",
    "ctm": "a consistency trajectory model, for every number of steps",
    "shortcut": "a shortcut model, for every number of steps",
}


def card_of(model: CheckpointInfo, name: str, licence: str | None = None) -> str:
    """The model card, in Markdown with the header of the Hugging Face Hub.

    Args:
        name: from which it is loaded: USER/MODEL, or a folder.
        licence: identifier of the weights' licence, such as `apache-2.0`.
    """
    config = model.config
    head = ["---", LIBRARY, "pipeline_tag: image-to-image", "tags:", "- low-light-image-enhancement"]
    head += ["- diffusion", *([f"license: {licence}"] if licence else []), "---"]
    title = name.rsplit("/", 1)[-1]
    steps = counted(model.steps, "step")
    parameters = count_parameters(build_network(config.model))
    rows = {
        "made by": METHODS.get(model.method, model.method),
        "sampling steps": str(model.steps),
        "network": f"`{config.model.architecture}`, {parameters:,} parameters",
        "weights": "half precision" if is_half_precision(model.path) else "single precision",
        "prediction": f"{config.model.prediction}, {config.diffusion.steps} noise levels",
        "training data": ", ".join(config.data.sets),
        "training pictures": str(len(model.training_pictures)) if model.training_pictures else "not recorded",
        "iterations": str(model.iteration),
        "family": model.family,
        "seed": str(config.seed),
        "SHA-256 begins with": model.digest,
    }
    body = [
        f"# {title}",
        "",
        f"Low-light image enhancement in {steps} of diffusion, with `reddit-llie`.",
        "",
        "```bash",
        f"reddit-llie enhance --weights hf://{name} -i night.jpg -o bright.jpg",
        "```",
        "",
        "```python",
        "import reddit",
        "",
        f'bright = reddit.from_pretrained("{name}").enhance(photo)',
        "```",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in rows.items()),
        "",
        *_scores(model),
        "## Limits",
        "",
        f"- Trained on {rows['training data']}: other cameras, scenes and exposures may come out worse.",
        "- It restores plausible detail, not evidence. Do not use it in forensics or medicine.",
        "- The licences of the training pictures may limit the use of the weights.",
        "",
        "## Configuration",
        "",
        "```yaml",
        dump_yaml(public_settings(model)).strip(),
        "```",
    ]
    return "\n".join([*head, "", *body]) + "\n"


def public_settings(model: CheckpointInfo) -> dict[str, Any]:
    """The settings of network and diffusion. The others contain names and paths of the machine."""
    config = model.config
    return {
        "model": config.model.model_dump(mode="json"),
        "diffusion": config.diffusion.model_dump(mode="json"),
    }


def _scores(model: CheckpointInfo) -> list[str]:
    if not model.validation:
        return []
    rows = [f"| {key} | {value:.4g} |" for key, value in sorted(model.validation.items())]
    note = "On the validation pictures, by which these weights were chosen; not a test set."
    return ["## Validation", "", note, "", "| | |", "|---|---|", *rows, ""]
