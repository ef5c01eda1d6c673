"""The settings of every run: data, network, diffusion, training loop.

The defaults are the paper's. Where the paper is silent, they are those of its predecessors (GSAD, SR3).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

SecondInput = Literal["none", "end", "step"]
SamplerName = Literal["ddim", "ddpm", "dpmpp", "unipc", "consistency", "ddim_authors"]


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains control characters")
    return text


Text = Annotated[str, AfterValidator(_plain)]
"""Text without control characters, safe in paths and on a terminal."""

WITHOUT_PAIRS = ("photos", "nights", "demo", "dicm", "lime", "mef", "npe", "vv")
"""Data sets without pairs of picture files."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class MixPart(Section):
    """A data set in a mixture."""

    dataset: Text
    """A name as in `data.dataset`."""
    weight: float = Field(1.0, gt=0, le=1e6)
    """Its share of the samples, relative to the sum of all weights."""
    folder: Text | None = None
    """For `photos`: the folder of good photographs, under the data root."""
    darkened: float = Field(0.0, ge=0, le=1)
    """For a data set of pairs: the share of its samples whose low-light picture is the ground truth, darkened
    on the fly as a photograph is."""


class DataConfig(Section):
    """Data sets, and how training crops are made."""

    dataset: Text = "lolv1"
    """A data set of `docs/datasets.md`; `demo`; `pairs`: the four folders below; `photos`: good photographs,
    darkened on the fly; `nights`: synthetic night scenes, which stay dark."""
    photos: Text | None = None
    """For `photos`: their folder, under the data root; subfolders are included."""
    mix: list[MixPart] = []
    """Several data sets with weights, for training; `dataset` then names only the test set."""
    root: Text | None = None
    """Folder of the data sets; `null`: the environment variable REDDIT_DATA, else `data`."""
    train_low: Text | None = None
    """For `pairs`: folder of the low-light training pictures."""
    train_high: Text | None = None
    """For `pairs`: folder of their ground truths."""
    test_low: Text | None = None
    """For `pairs`: folder of the low-light test pictures."""
    test_high: Text | None = None
    """For `pairs`: folder of their ground truths."""
    crop: int = Field(96, gt=0, le=8192)
    """Side of the square training crops, in pixels."""
    horizontal_flip: bool = True
    """Flip training crops left to right at random."""
    vertical_flip: bool = False
    """Flip training crops top to bottom at random."""
    transpose: bool = False
    """Swap rows and columns of training crops at random."""
    gain: float = Field(0.0, ge=0, le=8)
    """Make low-light pictures darker or brighter by up to so many stops (factors of 2) at random. The ground
    truth is not changed."""
    context_window: float = Field(1.0, gt=0, le=1)
    """The thumbnail shows a random part of the picture, of at least this share of each side; 1: the whole."""
    context_gain: float = Field(0.0, ge=0, le=8)
    """Make the thumbnail darker or brighter by up to so many stops at random."""
    validation: float = Field(0.05, ge=0, lt=1)
    """Share of the training pairs kept for choosing weights; 0: none. Pairs of one ground truth or scene stay
    together."""
    split_seed: int = Field(0, ge=0, lt=2**31)
    """Seed of that split; independent of `seed`, so that a student is never chosen by pictures that its
    teacher was trained on."""
    folds: int = Field(0, ge=0, le=1000)
    """Cross-validation: the scenes of the training set are dealt out to so many folds (by `split_seed`), and
    one of them takes the place of the test set; 0: none."""
    fold: int = Field(0, ge=0, lt=1000)
    """The fold that is held out, from 0."""
    memory_gb: float = Field(4.0, ge=0, le=1e5)
    """Gigabytes of decoded pictures to keep in memory (LOL-v1 needs 0.7, and half as much for denoised
    ones)."""
    decoded: bool = False
    """Keep those that do not fit on disk, decoded, in `runs/cache/decoded`: three bytes a pixel. Crops then
    come many times as fast as from picture files."""
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Worker processes that prepare batches; `auto`: none if pictures are in memory and there is no GPU."""
    on_corrupt: Literal["error", "skip"] = "error"
    """A training pair that cannot be read: ends the run, or is skipped and named."""

    @property
    def sets(self) -> tuple[str, ...]:
        """The names of the data sets to train on."""
        return tuple(dict.fromkeys(part.dataset for part in self.mix)) or (self.dataset,)


class ModelConfig(Section):
    """The network and what it predicts."""

    architecture: Literal["unet", "compact"] = "unet"
    """`unet`: the paper's U-Net and its light variants (`reddit.models.unet`). `compact`:
    `reddit.models.compact`, which reads only width, multipliers, blocks, unshuffle, detail, prediction and
    second_input."""
    width: int = Field(64, gt=0, le=4096)
    """Channels of the first level."""
    multipliers: Annotated[list[Annotated[int, Field(gt=0, le=64)]], Field(min_length=1, max_length=8)] = [
        1,
        1,
        2,
        2,
        4,
    ]
    """Channels of each level, in units of `width`. Each further level halves the resolution."""
    blocks: int = Field(2, gt=0, le=32)
    """Residual blocks per level."""
    attention_levels: Annotated[list[Annotated[int, Field(ge=0, lt=8)]], Field(max_length=8)] = [3]
    """Levels with self-attention; 0 is the finest."""
    groups: int = Field(32, gt=0, le=4096)
    """Groups of GroupNorm; must divide the channels of every level."""
    unshuffle: int = Field(1, gt=0, le=16)
    """Work at 1/unshuffle of the resolution, with pixels folded into channels."""
    log_condition: bool = False
    """Add a logarithmic curve of the low-light picture to the input."""
    block: Literal["sr3", "light"] = "sr3"
    """`sr3`: the paper's residual block. `light`: a block for processors, without GroupNorm and attention."""
    context: bool = False
    """Show the network a thumbnail of the whole low-light picture beside the crop or tile."""
    detail: int = Field(16, gt=1, le=512)
    """For `compact`: channels of the path at full resolution."""
    prediction: Literal["eps", "v", "x0"] = "eps"
    """What the network predicts: the noise, the velocity v, or the clean image."""
    second_input: SecondInput = "none"
    """A second scalar that the network takes, set by the distillation method: `end`: the level alpha of the
    state where a step ends (`ctm`); `step`: the length of the step, as a share of T (`shortcut`)."""


class DiffusionConfig(Section):
    """The noise schedule and sampling."""

    schedule: Literal["linear", "cosine"] = "linear"
    """Linear betas (the paper), or the cosine schedule (Nichol & Dhariwal 2021)."""
    steps: int = Field(512, gt=1, le=100_000)
    """T, the noisiest time."""
    beta_start: float = Field(1e-4, gt=0, lt=1)
    """First beta of the linear schedule."""
    beta_end: float = Field(2e-2, gt=0, lt=1)
    """Last beta of the linear schedule."""
    zero_terminal_snr: bool = False
    """Rescale the schedule so that alpha_T = 0 (Lin et al. 2023); needs `v` or `x0` prediction."""
    mask_x_T: bool = False  # noqa: N815 -- the paper's symbol
    """Replace x_T by zeros in the network's input; needs `zero_terminal_snr`, where x_T is pure noise. A
    student may differ from its teacher in this."""
    teacher_steps: int = Field(16, gt=0, le=100_000)
    """Sampling steps of the teacher; each distillation stage halves them."""
    sampler: SamplerName = "ddim"
    """The sampler. `ddim_authors` does not end at the clean image and gives the network alpha of the previous
    index (fault D3), for ablation."""
    clip: bool = True
    """Clip each predicted clean image to [-1, 1] while sampling."""


class TrainConfig(Section):
    """The training loop, for every method."""

    iterations: int = Field(1_000_000, gt=0, le=10**9)
    """Optimizer steps of the run."""
    batch_size: int = Field(8, gt=0, le=100_000)
    """Samples per optimizer step, over all processes and micro-batches."""
    lr: float = Field(1e-4, gt=0, le=1e3)
    """Learning rate (Adam)."""
    grad_accum_steps: int = Field(1, gt=0)
    """Micro-batches per optimizer step (gradient accumulation), if a batch does not fit into memory."""
    compile: bool | Literal["max"] = False
    """Compile the networks with `torch.compile`: some minutes at the start, then faster steps. `max`: with
    CUDA graphs. Where compiling fails, the run goes on without."""
    warmup: int = Field(0, ge=0)
    """Iterations over which the learning rate rises from 0."""
    decay: Literal["linear", "cosine"] = "linear"
    """Shape of the decay of the learning rate."""
    decay_from: float = Field(1.0, ge=0, le=1)
    """Share of the iterations after which the learning rate decays to `lr_end`; 1: no decay."""
    lr_end: float = Field(0.0, ge=0)
    """Learning rate at the last iteration."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient; larger ones are scaled down."""
    ema: float = Field(0.9999, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, after a warm-up of (1 + i) / (10 + i)."""
    ema_warmup: bool = True
    """`false`: no warm-up, so the initial weights remain too long (fault D5), for ablation."""
    log_every: int = Field(50, gt=0)
    """Iterations between log entries."""
    validate_every: int = Field(5000, gt=0)
    """Iterations between validations."""
    validation_pictures: int = Field(16, gt=0)
    """Most pictures of the validation split that are scored each time."""
    select_on_test: bool = False
    """Choose the weights by GT-mean PSNR on the TEST set (fault D6), for ablation. Scores on the test set are
    then meaningless."""
    checkpoint_every: int = Field(1000, gt=0)
    """Iterations between checkpoints."""
    keep_every: int = Field(0, ge=0)
    """Keep an extra copy of the checkpoint every so many iterations; 0: none."""
    keep: int = Field(3, gt=0)
    """How many extra copies are kept, the newest ones."""
    lost_after: float = Field(60.0, ge=0, le=1e6)
    """Seconds without a sign of life from another process of the run, after which it counts as lost and the
    run stops; 0: never."""
