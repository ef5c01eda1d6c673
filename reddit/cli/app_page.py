"""The page of `reddit-llie app`. The same file is the `app.py` of a Hugging Face Space."""

from __future__ import annotations

import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import gradio as gr
import numpy as np
import skimage.data

from reddit.data.night import Night, grid_of, relight
from reddit.image.read import read_uint8
from reddit.image.write import encode
from reddit.inference.enhancer import Enhancer, EnhanceWarning
from reddit.inference.file_groups import enhance_file
from reddit.inference.files import enhance_files, plan_outputs
from reddit.inference.loading import load
from reddit.utils.errors import UserError
from reddit.utils.files import write_bytes

WEIGHTS = {"photographs (light)": "light", "the benchmark LOL-v1 (light-lol)": "light-lol"}
EXAMPLES = {"launch-pad": ("rocket.jpg", None), "coffee": ("coffee.png", 0.03), "cat": ("chelsea.png", 0.015)}
"""Photographs of scikit-image, and how much light is left of theirs."""
STYLE = """
.gradio-container { width: 100% !important; max-width: 1100px !important; margin: 0 auto !important; }
.dark { --color-accent: #f59e0b; }
#results .fixed-height { min-height: 8rem; }
#results .grid-container { grid-template-columns: repeat(auto-fill, minmax(max(9rem, 30%), 1fr)) !important; }
footer { display: none !important; }
"""
ACCENT, ON_DARK, INK = "#b45309", "#f59e0b", "#1d1a18"
COLOURS = {
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "block_label_background_fill": ("*block_background_fill", "*block_background_fill"),
    "block_label_text_color": ("*body_text_color", "*body_text_color"),
    "block_title_background_fill": ("none", "none"),
    "block_title_text_color": ("*body_text_color", "*body_text_color"),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "block_info_text_color": ("*neutral_500", "*neutral_400"),
    "button_primary_background_fill": (ACCENT, ON_DARK),
    "button_primary_background_fill_hover": ("#92400e", "#fbbf24"),
    "button_primary_text_color": ("white", INK),
    "checkbox_label_background_fill_selected": (ACCENT, ON_DARK),
    "checkbox_label_text_color_selected": ("white", INK),
    "checkbox_background_color_selected": ("#92400e", ACCENT),
    "slider_color": (ACCENT, ON_DARK),
    "link_text_color": (ACCENT, ON_DARK),
    "link_text_color_visited": (ACCENT, ON_DARK),
    "link_text_color_hover": (ACCENT, ON_DARK),
}
"""Colours of the theme in light and in dark mode, readable on their backgrounds."""
THEME = gr.themes.Soft(
    primary_hue="amber",
    neutral_hue="stone",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    **{name: light for name, (light, _) in COLOURS.items()},
    **{f"{name}_dark": dark for name, (_, dark) in COLOURS.items()},
    color_accent=ACCENT,
    block_title_padding="0",
)


def _error(message: object, *files: str) -> gr.Error:
    """For the visitor alone, not for the terminal; names the files without their folders."""
    return gr.Error(_named(message, *files), print_exception=False)


def _named(message: object, *files: str) -> str:
    text = str(message)
    for file in files:
        text = text.replace(file, Path(file).name)
    return text


def page(weights: str | None = None, device: str = "auto") -> gr.Blocks:
    """The page, not yet served.

    Args:
        weights: a model to offer besides the shipped ones, and to begin with.
        device: auto, cpu, cuda or mps.
    """
    with gr.Blocks(title="Brighten dark photographs", analytics_enabled=False) as blocks:
        gr.Markdown("# Brighten dark photographs\nLow-light image enhancement in a few diffusion steps.")
        with gr.Accordion("Settings", open=False):
            choices = [*([(weights, weights)] if weights else []), *WEIGHTS.items()]
            with gr.Row():
                model = gr.Dropdown(choices, value=choices[0][1], label="Trained for")
                steps = gr.Radio([1, 4], value=1, label="Steps")
            with gr.Row():
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", info="0: the input")
                ensemble = gr.Slider(1, 8, 1, step=1, label="Ensemble", info="Mean over flips; slower")
        settings = [model, steps, strength, ensemble, gr.State(device)]
        with gr.Tab("A picture"):
            _picture_tab(settings)
        with gr.Tab("Several"):
            _batch_tab(settings)
    return blocks


def _picture_tab(settings: list[gr.components.Component]) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            low = gr.Image(
                type="filepath", label="Dark photograph", sources=["upload", "clipboard"], elem_id="low"
            )
            # The file as it is: gradio would convert it to 8 bits without alpha, and fails without words.
            low.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]
            button = gr.Button("Brighten", variant="primary", elem_id="brighten")
        with gr.Column(min_width=300):
            both = gr.ImageSlider(label="Before and after", format="png", interactive=False, elem_id="both")
            file = gr.DownloadButton("Save", interactive=False, elem_id="save")
    gr.Examples([[str(path)] for path in examples()], inputs=[low], label="Examples")
    button.click(brighten, [low, *settings], [both, file])


def _batch_tab(settings: list[gr.components.Component]) -> None:
    files = gr.File(file_count="multiple", label="Dark photographs")
    button = gr.Button("Brighten all", variant="primary")
    gallery = gr.Gallery(label="Results", object_fit="contain", height="auto", elem_id="results")
    archive = gr.DownloadButton("Save all", interactive=False)
    button.click(brighten_all, [files, *settings], [gallery, archive])


@lru_cache(maxsize=2)
def _model(name: str, steps: int, device: str) -> Enhancer:
    return load(name, steps, device)


def _chosen(name: str, steps: int, device: str) -> Enhancer:
    try:
        return _model(name, int(steps), device)
    except UserError as error:
        raise _error(error) from error


def brighten(
    low: str | None, name: str, steps: int, strength: float, ensemble: float, device: str
) -> tuple[tuple[np.ndarray, np.ndarray], gr.DownloadButton]:
    """One photograph: before and after for the slider, and the file to save."""
    if low is None:
        raise _error("Choose a photograph first.")
    source = Path(low)
    plan = plan_outputs([source], _folder(), suffix="enhanced")
    (target,) = plan.outputs.values()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", EnhanceWarning)
        try:
            enhance_file(
                source, target, _chosen(name, steps, device), strength=strength, ensemble=int(ensemble)
            )
        except UserError as error:
            raise _error(error, low) from error
    for warning in found:
        gr.Warning(_named(warning.message, low))
    pictures = read_uint8(source), read_uint8(target)
    return pictures, gr.DownloadButton("Save", value=str(target), interactive=True)


def brighten_all(
    files: list[str] | None, name: str, steps: int, strength: float, ensemble: float, device: str
) -> tuple[list[str], gr.DownloadButton]:
    """Several photographs: the results, and an archive of them. Those that cannot be read are named."""
    if not files:
        raise _error("Choose photographs first.")
    folder = _folder()
    try:
        plan = plan_outputs(list(map(Path, files)), folder, suffix="enhanced")
        done = enhance_files(
            plan, _chosen(name, steps, device), strength=strength, ensemble=int(ensemble), quiet=True
        )
    except UserError as error:
        raise _error(error, *files) from error
    for line in done.failed:
        gr.Warning(_named(line, *files))
    archive = folder / "enhanced.zip"
    with ZipFile(archive, "w", ZIP_STORED) as packed:
        for path in done.written:
            packed.write(path, path.name)
    return list(map(str, done.written)), gr.DownloadButton("Save all", value=str(archive), interactive=True)


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="reddit-llie-"))


def examples() -> list[Path]:
    """Dark photographs, drawn into a folder of their own."""
    folder, photographs = _folder(), Path(skimage.data.__file__).parent
    paths = []
    for name, (file, ambient) in EXAMPLES.items():
        picture = read_uint8(photographs / file)
        if ambient is not None:
            night = Night((ambient, ambient, ambient), (), 8000, read_noise=2.0)
            picture = relight(picture, night, grid_of(*picture.shape[:2]), np.random.default_rng(0))
        paths.append(folder / f"{name}.png")
        write_bytes(paths[-1], encode(picture, ".png"))
    return paths


if __name__ == "__main__":
    page().launch(theme=THEME, css=STYLE)
