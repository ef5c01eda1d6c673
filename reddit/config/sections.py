"""The settings that every run has: data, network, diffusion, loop.

The defaults are the paper's; where the paper is silent, its lineage's (GSAD, SR3).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

SamplerName = Literal["ddim", "ddpm", "dpmpp", "unipc", "consistency", "ddim_authors"]


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


Text = Annotated[str, AfterValidator(_plain)]
"""Text that is safe in a path and on a terminal."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class MixPart(Section):
    """One of the data sets of a mixture."""

    dataset: Text
    """As `data.dataset`."""
    weight: float = Field(1.0, gt=0, le=1e6)
    """Its share of the samples, in units of the sum of all weights."""
    folder: Text | None = None
    """Of `photos`: the folder of good photographs, under the data root."""


class DataConfig(Section):
    """Which pictures, and how they become training crops."""

    dataset: Text = "lolv1"
    """A name that `reddit.data.layouts` knows; `demo`; `pairs` for the four folders below; `photos` for
    good photographs, darkened on the fly; `nights` for drawn ones, which stay dark."""
    photos: Text | None = None
    """With `photos`: their folder, under the data root; its subfolders too."""
    mix: list[MixPart] = []
    """Several data sets at once, each with a weight, in place of `dataset`, which names the test set."""
    root: Text | None = None
    """Where data sets live; unset: the environment's REDDIT_DATA, else `data`."""
    train_low: Text | None = None
    train_high: Text | None = None
    test_low: Text | None = None
    test_high: Text | None = None
    crop: int = Field(96, gt=0, le=8192)
    """Side of the square training crops, pixels."""
    horizontal_flip: bool = True
    vertical_flip: bool = False
    transpose: bool = False
    gain: float = Field(0.0, ge=0, le=8)
    """Low pictures become darker or brighter by up to so many stops (factors of 2); ground truth does not."""
    context_window: float = Field(1.0, gt=0, le=1)
    """Side of the smallest part of a thumbnail that training shows as the whole; 1: always the whole."""
    context_gain: float = Field(0.0, ge=0, le=8)
    """The view of the whole picture is made darker or brighter by up to so many stops; the picture is not."""
    validation: float = Field(0.05, ge=0, lt=1)
    """Share of the training pairs kept for choosing weights, grouped by the high picture; 0: none."""
    split_seed: int = Field(0, ge=0, lt=2**31)
    """Which pairs those are; apart from `seed`, so that no student is chosen by what its teacher learnt."""
    memory_gb: float = Field(4.0, ge=0, le=1e5)
    """Gigabytes of decoded pictures to keep in memory (LOL-v1 takes 0.7, denoised ones half more)."""
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that prepare batches; `auto`: none where pictures in memory feed a processor."""
    on_corrupt: Literal["error", "skip"] = "error"
    """What a training pair that cannot be read does: ends the run, or is left out and named."""


class ModelConfig(Section):
    """The conditional U-Net (`reddit.models.unet`) and what it predicts."""

    architecture: Literal["unet", "compact"] = "unet"
    """The paper's U-Net and its light relatives, or `reddit.models.compact`, which reads width, multipliers,
    blocks, unshuffle and detail."""
    width: int = Field(64, gt=0, le=4096)
    multipliers: Annotated[list[Annotated[int, Field(gt=0, le=64)]], Field(min_length=1, max_length=8)] = [
        1,
        1,
        2,
        2,
        4,
    ]
    blocks: int = Field(2, gt=0, le=32)
    attention_levels: Annotated[list[Annotated[int, Field(ge=0, lt=8)]], Field(max_length=8)] = [3]
    groups: int = Field(32, gt=0, le=4096)
    unshuffle: int = Field(1, gt=0, le=16)
    log_condition: bool = False
    block: Literal["sr3", "light"] = "sr3"
    """The paper's residual block, or one made for processors, without GroupNorm and attention."""
    context: bool = False
    """Show the network the whole low-light picture as a thumbnail, beside the part that it restores."""
    detail: int = Field(16, gt=1, le=512)
    """`compact`: channels of the path at full resolution."""
    prediction: Literal["eps", "v", "x0"] = "eps"


class DiffusionConfig(Section):
    """The noise schedule and how it is sampled."""

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = Field(512, gt=1, le=100_000)
    """T, the number of the noisiest time."""
    beta_start: float = Field(1e-4, gt=0, lt=1)
    beta_end: float = Field(2e-2, gt=0, lt=1)
    zero_terminal_snr: bool = False
    mask_x_T: bool = False  # noqa: N815 -- the paper's symbol
    """Show the network zeros in place of x_T, which is pure noise with zero terminal SNR; a student may
    differ from its teacher in this."""
    teacher_steps: int = Field(16, gt=0, le=100_000)
    """Sampling steps of the teacher; students halve them."""
    sampler: SamplerName = "ddim"
    """`ddim_authors` ends above clean and tells the network a wrong level (fault D3), for ablation."""
    clip: bool = True
    """Hold each predicted clean image in [-1, 1] while sampling."""


class TrainConfig(Section):
    """The loop, whatever the method."""

    iterations: int = Field(1_000_000, gt=0, le=10**9)
    batch_size: int = Field(8, gt=0, le=100_000)
    """Samples a step, over all processes and micro-batches."""
    lr: float = Field(1e-4, gt=0, le=1e3)
    grad_accum_steps: int = Field(1, gt=0)
    """Micro-batches that a batch is computed in, one after the other, where it does not fit into memory."""
    compile: bool = False
    """Compile the trained network (`torch.compile`): a minute or two at the start, faster steps."""
    warmup: int = Field(0, ge=0)
    """Iterations over which the learning rate rises from 0."""
    decay: Literal["linear", "cosine"] = "linear"
    decay_from: float = Field(1.0, ge=0, le=1)
    """Share of the iterations after which the learning rate falls to `lr_end`; 1: never."""
    lr_end: float = Field(0.0, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of a step's gradient."""
    ema: float = Field(0.9999, ge=0, lt=1)
    """Decay of the weights' average; it warms up as (1 + i) / (10 + i)."""
    ema_warmup: bool = True
    """False: the full decay from the first update, so that old weights linger (fault D5), for ablation."""
    log_every: int = Field(50, gt=0)
    validate_every: int = Field(5000, gt=0)
    validation_pictures: int = Field(16, gt=0)
    """At most so many pictures of the validation split are scored each time."""
    select_on_test: bool = False
    """Choose the weights by GT-mean PSNR on the TEST set (fault D6), for ablation: their scores there are
    then worth nothing."""
    checkpoint_every: int = Field(1000, gt=0)
    keep_every: int = Field(0, ge=0)
    """Keep what a checkpoint holds at every so many iterations beside the newest; 0: never."""
    keep: int = Field(3, gt=0)
    """How many of those, the newest, are kept."""
