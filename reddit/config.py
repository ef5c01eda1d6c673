"""The configuration: typed, strict, from YAML, with `key=value` on top.

Every key of every YAML file in `configs/` is declared here, with its default and its meaning.
The defaults are the paper's; where the paper is silent, its lineage's (GSAD, SR3).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reddit.utils.errors import UserError

RENAMED = {
    "diffusion.blind_start": "diffusion.mask_x_T",
    "train.accumulate": "train.grad_accum_steps",
    "distill.train.accumulate": "distill.train.grad_accum_steps",
    "teacher.terminal_share": "teacher.p_terminal",
    "distill.terminal_share": "distill.p_terminal",
    "distill.rollout_share": "distill.p_rollout",
    "distill.w_light": "distill.w_illumination",
}
"""Keys of earlier versions → their names today. Checkpoints and run folders still hold the former."""

SamplerName = Literal["ddim", "ddpm", "dpmpp", "unipc", "consistency", "ddim_authors"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MixPart(_Section):
    """One of the data sets of a mixture."""

    dataset: str
    """As `data.dataset`."""
    weight: float = Field(1.0, gt=0)
    """Its share of the samples, in units of the sum of all weights."""
    folder: str | None = None
    """Of `photos`: the folder of good photographs, under the data root."""


class DataConfig(_Section):
    """Which pictures, and how they become training crops."""

    dataset: str = "lolv1"
    """A name that `reddit.data.layouts` knows; `demo`; `pairs` for the four folders below; `photos` for
    good photographs, darkened on the fly; `nights` for drawn ones, which stay dark."""
    photos: str | None = None
    """With `photos`: their folder, under the data root; its subfolders too."""
    mix: list[MixPart] = []
    """Several data sets at once, each with a weight, in place of `dataset`, which names the test set."""
    root: str | None = None
    """Where data sets live; unset: the environment's REDDIT_DATA, else `data`."""
    train_low: str | None = None
    train_high: str | None = None
    test_low: str | None = None
    test_high: str | None = None
    crop: int = Field(96, gt=0)
    """Side of the square training crops, pixels."""
    horizontal_flip: bool = True
    vertical_flip: bool = False
    transpose: bool = False
    gain: float = Field(0.0, ge=0)
    """Low pictures become darker or brighter by up to so many stops (factors of 2); ground truth does not."""
    context_window: float = Field(1.0, gt=0, le=1)
    """Side of the smallest part of a thumbnail that training shows as the whole; 1: always the whole."""
    context_gain: float = Field(0.0, ge=0)
    """The view of the whole picture is made darker or brighter by up to so many stops; the picture is not."""
    validation: float = Field(0.05, ge=0, lt=1)
    """Share of the training pairs kept for choosing weights, grouped by the high picture; 0: none."""
    split_seed: int = Field(0, ge=0, lt=2**31)
    """Which pairs those are; apart from `seed`, so that no student is chosen by what its teacher learnt."""
    memory_gb: float = Field(4.0, ge=0)
    """Gigabytes of decoded pictures to keep in memory (LOL-v1 takes 0.7, denoised ones half more)."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that prepare batches; `auto`: none where pictures in memory feed a processor."""
    on_corrupt: Literal["error", "skip"] = "error"
    """What a training pair that cannot be read does: ends the run, or is left out and named."""


class ModelConfig(_Section):
    """The conditional U-Net (`reddit.models.unet`) and what it predicts."""

    architecture: Literal["unet", "compact"] = "unet"
    """The paper's U-Net and its light relatives, or `reddit.models.compact`, which reads width, multipliers,
    blocks, unshuffle and detail."""
    width: int = Field(64, gt=0)
    multipliers: list[int] = [1, 1, 2, 2, 4]
    blocks: int = Field(2, gt=0)
    attention_levels: list[int] = [3]
    groups: int = Field(32, gt=0)
    unshuffle: int = Field(1, gt=0)
    log_condition: bool = False
    block: Literal["sr3", "light"] = "sr3"
    """The paper's residual block, or one made for processors, without GroupNorm and attention."""
    context: bool = False
    """Show the network the whole low-light picture as a thumbnail, beside the part that it restores."""
    detail: int = Field(16, gt=1)
    """`compact`: channels of the path at full resolution."""
    prediction: Literal["eps", "v", "x0"] = "eps"


class DiffusionConfig(_Section):
    """The noise schedule and how it is sampled."""

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = Field(512, gt=1)
    """T, the number of the noisiest time."""
    beta_start: float = Field(1e-4, gt=0, lt=1)
    beta_end: float = Field(2e-2, gt=0, lt=1)
    zero_terminal_snr: bool = False
    mask_x_T: bool = False  # noqa: N815 -- the paper's symbol
    """Show the network zeros in place of x_T, which is pure noise with zero terminal SNR; a student may
    differ from its teacher in this."""
    teacher_steps: int = Field(16, gt=0)
    """Sampling steps of the teacher; students halve them."""
    sampler: SamplerName = "ddim"
    """`ddim_authors` ends above clean and tells the network a wrong level (fault D3), for ablation."""
    clip: bool = True
    """Hold each predicted clean image in [-1, 1] while sampling."""


class TrainConfig(_Section):
    """The loop, whatever the method."""

    iterations: int = Field(1_000_000, gt=0)
    batch_size: int = Field(8, gt=0)
    """Samples a step, over all processes and micro-batches."""
    lr: float = Field(1e-4, gt=0)
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


class TeacherConfig(_Section):
    """The teacher's own loss."""

    loss: Literal["l1", "l2"] = "l2"
    """Distance between the network's answer and its target (eps, v or x0)."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Share of the samples trained at T itself, from pure noise, where sampling starts."""
    w_per: float = Field(0.0, ge=0)
    """Weight of a perceptual loss (LPIPS) on the predicted clean image of those samples."""


class DistillConfig(_Section):
    """Distillation: the method, and every weight of ReDDiT's equations 4 to 12."""

    method: str = "reddit"
    """reddit, or a rival: progressive, consistency, reflow, which use only what their docstrings name."""
    omega: float = Field(0.2, ge=0)
    """Strength of the reflectance-aware refinement, eq. 9; 0 leaves the teacher's trajectory alone."""
    omega_space: Literal["trajectory", "clean"] = "trajectory"
    """Whether omega moves `x_s` (the paper) or the clean-image target (the same strength at every t)."""
    w_dis: float = Field(1.0, ge=0)
    """0: ground truth only, as a control (GT only); the teacher is not evaluated."""
    w_pix: float = Field(1.0, ge=0)
    w_per: float = Field(0.6, ge=0)
    w_illumination: float = Field(0.0, ge=0)
    """Weight of the illumination loss, which the paper does not have."""
    lambda_rule: Literal["max_snr_1", "snr_plus_1", "constant"] = "max_snr_1"
    jitter: Literal["none", "shared", "independent"] = "independent"
    """Noise levels alpha on the grid; or drawn evenly between neighbours, by one draw or each by its own."""
    order: Literal[1, 2] = 2
    """Teacher's steps to the target: t → u → s (eq. 3), or t → s alone (eq. 2)."""
    last_interval: Literal["clean", "wrapped"] = "clean"
    """Where the last interval ends; `wrapped` draws it anywhere between clean and T (fault D2), for
    ablation."""
    p_terminal: float = Field(0.0, ge=0, le=1)
    """Share of the samples that start at T from pure noise, as the student will."""
    p_rollout: float = Field(0.0, ge=0, le=1)
    """Share of the batches whose `x_t` the student reached itself, from pure noise."""
    illumination: Literal["max", "mean", "smooth_max"] = "max"
    reflectance: Literal["retinex", "authors"] = "retinex"
    """`authors` divides [-1, 1] values by a maximum that crosses zero (fault D1), for ablation."""
    noise: Literal["magnitude", "signed"] = "magnitude"
    """The paper subtracts |y - D(y)| from y; `signed` subtracts y - D(y)."""
    denoiser: Literal["nlm", "gaussian"] = "nlm"
    nlm_strength: float = Field(3.0, gt=0)
    """Filter strength h of non-local means, in 8-bit levels."""
    illumination_floor: float = Field(1 / 255, gt=0, lt=1)
    target_ema: float = Field(0.95, ge=0, lt=1)
    """Consistency distillation: decay of the average of the student's weights that makes the targets."""
    consistency_distance: Literal["l2", "lpips"] = "l2"
    """Consistency distillation: between the clean images of neighbouring states."""
    perceptual_backbone: Literal["vgg", "alex"] = "vgg"
    perceptual_weights: str | None = None
    """A `.safetensors` with the backbone's ImageNet convolutions; unset: REDDIT_VGG16 or
    REDDIT_ALEXNET of the environment, else torchvision's download."""
    train: dict[str, Any] = {
        "iterations": 5000,
        "batch_size": 16,
        "lr": 1e-4,
        "decay_from": 0.4,
        "validate_every": 500,
    }
    """What a stage sets differently in `train`."""


class Config(_Section):
    """Everything that decides a run."""

    name: str = "lolv1"
    """The family of runs; the teacher's folder is `runs/NAME`, an 8-step student's `runs/NAME-8`."""
    ablation: str | None = None
    """The ablation of students that this run, or its teacher's, belongs to; `--ablation` sets it. Such models
    do not stand for their family."""
    runs: str = "runs"
    seed: int = Field(0, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    train: TrainConfig = TrainConfig()
    teacher: TeacherConfig = TeacherConfig()
    distill: DistillConfig = DistillConfig()

    def data_root(self) -> Path:
        """Where data sets live: `data.root`, else REDDIT_DATA, else `data`."""
        return Path(self.data.root or os.environ.get("REDDIT_DATA") or "data")

    def runs_folder(self) -> Path:
        """Where run folders live."""
        return Path(self.runs)

    def to_yaml(self) -> str:
        """The whole configuration as YAML that `load_config` reads back."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 floats: PyYAML reads `1e-4` as a string. Repeated keys are mistakes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$|^[-+]?\.\d[\d_]*([eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


def load_config(path: str | Path | None, overrides: Sequence[str] = (), *, stage: bool = False) -> Config:
    """Read a YAML file (`base: OTHER.yaml` inherits), lay overrides on top, and check everything.

    Args:
        path: the file; None for the defaults.
        overrides: `key=value` with dotted keys and YAML values, e.g. `train.lr=2e-4`.
        stage: for a distillation stage: `distill.train` is laid over `train` before the overrides.

    Raises:
        UserError: one line a mistake, all of them at once, unknown keys with the nearest known one.
    """
    raw = _read_yaml(Path(path)) if path is not None else {}
    return resolve_config(raw, overrides, stage=stage, source=str(path or "defaults"))


def resolve_config(
    raw: dict[str, Any],
    overrides: Sequence[str] = (),
    *,
    stage: bool = False,
    source: str,
    laid_by: str = "--set",
) -> Config:
    """`load_config` for a mapping already read; messages name it by `source`, the overrides by `laid_by`."""
    mistakes: list[str] = []
    laid: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            mistakes.append(f"--set {override}: expected key=value, e.g. train.lr=2e-4")
            continue
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError:
            mistakes.append(f"--set {override}: {text!r} is not a YAML value")
            continue
        for part in reversed(key.split(".")):
            value = {part: value}
        laid = _merge(laid, value)
    given = _merge(raw, laid)
    stage_train = DistillConfig().train | _section(_section(given, "distill"), "train")
    if stage:
        given = _merge(_merge(given, {"train": stage_train}), laid)
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        for e in error.errors():
            laid_over = _is_among(".".join(map(str, e["loc"])), overrides)
            mistakes.append(_explain(e, Config, laid_by if laid_over else source))
    else:
        mistakes += _contradictions(config, source)
    try:
        TrainConfig.model_validate(_section(given, "train") | stage_train)
    except ValidationError as error:
        seen = "\n".join(mistakes)
        for e in error.errors():
            if f"train.{e['loc'][0]}:" not in seen:
                laid_over = _is_among(f"distill.train.{e['loc'][0]}", overrides)
                named = laid_by if laid_over else source
                mistakes.append(_explain(e, TrainConfig, named, prefix="distill.train."))
    if mistakes:
        raise UserError("\n".join(mistakes))
    return config


def _is_among(key: str, overrides: Sequence[str]) -> bool:
    """Whether an override sets a key, or something below or above it."""
    laid = (override.partition("=")[0] for override in overrides)
    return any(f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in laid)


def _contradictions(config: Config, source: str) -> list[str]:
    found = []
    model, diffusion = config.model, config.diffusion
    if model.prediction == "eps" and diffusion.zero_terminal_snr:
        found.append("model.prediction: eps cannot start from zero terminal SNR; set it to v or x0")
    if diffusion.mask_x_T and not diffusion.zero_terminal_snr:
        found.append("diffusion.mask_x_T: x_T is pure noise only with diffusion.zero_terminal_snr=true")
    if config.distill.last_interval == "wrapped" and config.distill.jitter == "none":
        found.append("distill.last_interval: wrapped draws a level, which distill.jitter=none forbids")
    for level, m in enumerate(model.multipliers if model.architecture == "unet" else []):
        if model.width * m % model.groups:
            found.append(
                f"model.groups: {model.groups} does not divide level {level}'s {model.width * m} channels"
            )
            break
    if diffusion.beta_start > diffusion.beta_end:
        found.append("diffusion.beta_start: larger than diffusion.beta_end")
    if diffusion.teacher_steps > diffusion.steps:
        found.append("diffusion.teacher_steps: more than diffusion.steps")
    return [f"{source}: {line}" for line in found]


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    section = raw.get(name)
    return section if isinstance(section, dict) else {}


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        known = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, known, 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise UserError(f"cannot read the configuration {path}: {reason}{hint}") from error
    try:
        raw = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise UserError(f"{path}{line}: not valid YAML: {problem}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected a mapping of settings, found {type(raw).__name__}")
    base = raw.pop("base", None)
    if base is None:
        return raw
    below = (path.parent / str(base)).resolve()
    if below in (*seen, path.resolve()):
        raise UserError(f"{path}: base {base} leads back to itself")
    return _merge(_read_yaml(below, (*seen, path.resolve())), raw)


def _explain(error: Any, model: type[BaseModel], source: str, prefix: str = "") -> str:
    location = [str(part) for part in error["loc"]]
    key = prefix + ".".join(location)
    if error["type"] != "extra_forbidden":
        message = error["msg"].replace("Input should be", "should be")
        return f"{source}: {key}: {message}, not {error['input']!r}"
    if key in RENAMED:
        return f"{source}: {key}: this setting is now called {RENAMED[key]}"
    known = [prefix + name for name in _known_keys(model)]
    near = [name for name in known if name.split(".")[-1] == location[-1]]  # only the section is wrong
    near = near or difflib.get_close_matches(key, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(k for k in known if '.' not in k)}"
    return f"{source}: {key}: unknown key; {hint}"


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, f"{prefix}{name}.")
    return keys
