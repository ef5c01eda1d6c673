from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from reddit.config import RENAMED, Config, TrainConfig, load_config, resolve_config
from reddit.config.methods import STAGE_DEFAULTS
from reddit.config.sections import WITHOUT_PAIRS
from reddit.data.layouts import LAYOUTS
from reddit.utils.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


def write(folder: Path, text: str, name: str = "run.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def mistakes(path: Path | None, *overrides: str, stage: bool = False) -> list[str]:
    with pytest.raises(UserError) as error:
        load_config(path, overrides, stage=stage)
    return str(error.value).splitlines()


# Files


def test_there_are_files() -> None:
    assert CONFIGS / "lolv1.yaml" in FILES


@pytest.mark.parametrize("stage", [False, True])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_loads(path: Path, stage: bool) -> None:
    config = load_config(path, stage=stage)
    assert config.name
    if stage:
        given = yaml.safe_load(path.read_text()).get("distill", {}).get("train", {})
        assert {key: config.train.model_dump()[key] for key in given} == {
            key: float(value) if isinstance(value, str) else value for key, value in given.items()
        }


def test_names_are_unique() -> None:
    names = [load_config(path).name for path in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", [None, *FILES], ids=lambda path: path.stem if path else "defaults")
def test_round_trip(path: Path | None, tmp_path: Path) -> None:
    config = load_config(path)
    assert load_config(write(tmp_path, config.to_yaml())) == config


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing\n")) == Config() == load_config(None)


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E-04", 1e-4),
        ("2.5e-4", 2.5e-4),
        ("+1e+0", 1.0),
        (".5", 0.5),
        ("1_0.5e-1", 1.05),
        ("010", 10.0),  # not octal
        ("1", 1.0),
        ("0.25", 0.25),
    ],
)
def test_numbers(tmp_path: Path, text: str, value: float) -> None:
    config = load_config(write(tmp_path, f"train:\n  lr: {text}\n"))
    assert isinstance(config.train.lr, (int, float))
    assert config.train.lr == value
    assert load_config(None, [f"train.lr={text}"]).train.lr == value


def test_a_quoted_number_stays_text(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, 'train:\n  lr: "1e-4"\n'))
    assert "train.lr" in line
    assert "'1e-4'" in line


def test_names_that_look_like_numbers(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, "name: 1e5\n"))
    assert "name" in line
    assert load_config(write(tmp_path, "name: e5-lol\n")).name == "e5-lol"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("train:\n  iterations: many\n", "train.iterations"),
        ("train:\n  iterations: 10.5\n", "train.iterations"),
        ("train:\n  lr: -1e-4\n", "train.lr"),
        ("data:\n  horizontal_flip: 1\n", "data.horizontal_flip"),
        ("model:\n  multipliers: 4\n", "model.multipliers"),
        ("model:\n  prediction: epsilon\n", "model.prediction"),
        ("model: small\n", "model"),
        ("distill:\n  train: 5\n", "distill.train"),
        ("seed: -1\n", "seed"),
        ("precision: fp8\n", "precision"),
    ],
)
def test_wrong_values_name_the_key(tmp_path: Path, text: str, key: str) -> None:
    path = write(tmp_path, text)
    (line,) = mistakes(path)
    assert line.startswith(f"{path}: {key}: ")


# Unknown keys


@pytest.mark.parametrize(
    ("text", "wrong", "meant"),
    [
        ("modle:\n  width: 8\n", "modle", "model"),
        ("model:\n  widht: 8\n", "model.widht", "model.width"),
        ("distill:\n  omga: 0.1\n", "distill.omga", "distill.reddit.omega"),
        ("distill:\n  train:\n    itrations: 9\n", "distill.train.itrations", "distill.train.iterations"),
        ("train:\n  omega: 0.1\n", "train.omega", "distill.reddit.omega"),
        ("lr: 0.1\n", "lr", "train.lr"),
    ],
)
def test_unknown_keys_name_the_nearest(tmp_path: Path, text: str, wrong: str, meant: str) -> None:
    path = write(tmp_path, text)
    assert mistakes(path) == [f"{path}: {wrong}: unknown key; did you mean {meant}?"]


def test_an_unknown_key_without_a_near_one(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, "zzzzqqqq: 1\n"))
    assert "unknown key; known: name, ablation, runs" in line


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "modle: {}\ntrain:\n  lr: fast\ndistill:\n  train:\n    itrations: 5\n")
    lines = mistakes(path)
    assert len(lines) == 3
    for key in ("modle", "train.lr", "distill.train.itrations"):
        assert sum(f": {key}: " in line for line in lines) == 1


def test_mistakes_of_files_and_overrides_are_reported_together(tmp_path: Path) -> None:
    lines = mistakes(write(tmp_path, "modle: {}\n"), "nonsense", "train.lr=[1", "train.lr=x")
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["diffusion.zero_terminal_snr=true"], "model.prediction"),
        (["diffusion.mask_x_T=true"], "diffusion.mask_x_T"),
        (["model.width=30", "model.groups=8"], "model.groups"),
        (["diffusion.beta_start=0.5"], "diffusion.beta_start"),
        (["diffusion.teacher_steps=600"], "diffusion.teacher_steps"),
    ],
)
def test_contradictions(overrides: list[str], key: str) -> None:
    (line,) = mistakes(None, *overrides)
    assert f": {key}: " in line


@pytest.mark.parametrize("dataset", WITHOUT_PAIRS)
def test_only_pairs_in_files_can_be_darkened(dataset: str, tmp_path: Path) -> None:
    mix = f"data: {{mix: [{{dataset: lolv1, darkened: 0.5}}, {{dataset: {dataset}, darkened: DARKENED}}]}}"
    (line,) = mistakes(path := write(tmp_path, mix.replace("DARKENED", "0.5")))
    assert (
        line
        == f"{path}: data.mix: `darkened` is for pairs of picture files, not for {dataset}; remove it there"
    )
    assert load_config(write(tmp_path, mix.replace("DARKENED", "0"))).data.mix[1].dataset == dataset


def test_all_data_sets_without_ground_truth_are_without_pairs() -> None:
    assert {name for name, layout in LAYOUTS.items() if not layout.sides} < set(WITHOUT_PAIRS)
    assert not {name for name, layout in LAYOUTS.items() if layout.sides} & set(WITHOUT_PAIRS)


# Overrides


def test_the_crops_of_a_batch_have_a_limit_that_smaller_parts_raise() -> None:
    large = ["train.batch_size=50000", "data.crop=96"]
    with pytest.raises(
        UserError, match=r"50000 crops of 96×96 pixels at a time are more than 100 megapixels"
    ):
        load_config(None, large)
    assert load_config(None, [*large, "train.grad_accum_steps=50"]).train.batch_size == 50000


def test_overrides_win(tmp_path: Path) -> None:
    path = write(tmp_path, "name: mine\ntrain:\n  lr: 1e-3\n  ema: 0.5\n")
    config = load_config(
        path, ["train.lr=2e-4", "model.multipliers=[1, 2]", "data.root=null", "train.lr=3e-4"]
    )
    assert config.train.lr == 3e-4  # the last one
    assert config.train.ema == 0.5
    assert config.model.multipliers == [1, 2]
    assert config.name == "mine"


@pytest.mark.parametrize("override", ["train.lr", "=5"])
def test_an_override_without_key_or_value(override: str) -> None:
    (line,) = mistakes(None, override)
    assert line == f"--set {override}: expected key=value, e.g. train.lr=2e-4"


def test_an_unknown_override() -> None:
    (line,) = mistakes(None, "train.lrr=1")
    assert line.endswith("train.lrr: unknown key; did you mean train.lr?")


# Stages

STAGE = (
    "train:\n  lr: 1e-3\n  ema: 0.5\n  iterations: 99\ndistill:\n  train:\n    lr: 2e-3\n    iterations: 10\n"
)


def test_a_teacher_does_not_see_the_stage(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, STAGE))
    assert (config.train.lr, config.train.iterations, config.train.ema) == (1e-3, 99, 0.5)


def test_a_stage_lies_over_train_and_overrides_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, STAGE)
    config = load_config(path, stage=True)
    assert (config.train.lr, config.train.iterations, config.train.ema) == (2e-3, 10, 0.5)
    assert config.train.batch_size == 16  # a stage's own default
    config = load_config(path, ["train.lr=5e-3"], stage=True)
    assert (config.train.lr, config.train.iterations) == (5e-3, 10)


def test_overrides_of_the_stages_section_count(tmp_path: Path) -> None:
    path = write(tmp_path, STAGE)
    assert load_config(path, ["distill.train.iterations=7"], stage=True).train.iterations == 7
    assert load_config(path, ["distill.train.iterations=7"]).train.iterations == 99
    assert load_config(path, ["distill.train.lr=7", "train.lr=8"], stage=True).train.lr == 8
    (line,) = mistakes(path, "distill.train.itrations=7")
    assert "did you mean distill.train.iterations?" in line


def test_a_mistake_of_a_stage_is_reported_once(tmp_path: Path) -> None:
    path = write(tmp_path, "distill:\n  train:\n    lr: fast\n")
    for stage in (False, True):
        (line,) = mistakes(path, stage=stage)
        assert "train.lr: " in line


# Inheritance


def test_base(tmp_path: Path) -> None:
    write(tmp_path, "name: below\ntrain:\n  lr: 1e-3\n  ema: 0.5\n", "below.yaml")
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", "base: ../below.yaml\ntrain:\n  ema: 0.6\n", "middle.yaml")
    config = load_config(write(tmp_path, "base: more/middle.yaml\nname: top\n"))
    assert (config.name, config.train.lr, config.train.ema) == ("top", 1e-3, 0.6)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_of_bases(tmp_path: Path, length: int) -> None:
    names = [f"{i}.yaml" for i in range(length)]
    for name, below in itertools.pairwise([*names, names[0]]):
        write(tmp_path, f"base: {below}\n", name)
    (line,) = mistakes(tmp_path / "0.yaml")
    assert "leads back to itself" in line


def test_a_missing_base(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, "base: none.yaml\n"))
    assert "none.yaml" in line


# Files that cannot be read


def test_a_repeated_key(tmp_path: Path) -> None:
    path = write(tmp_path, "train:\n  lr: 1\n  ema: 0.5\n  lr: 2\n")
    (line,) = mistakes(path)
    assert str(path) in line
    assert "'lr' is repeated" in line


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "", "lolv1.yaml")
    (line,) = mistakes(tmp_path / "lol1.yaml")
    assert line.endswith(f"did you mean {tmp_path / 'lolv1.yaml'}?")
    (line,) = mistakes(tmp_path / "none" / "lol1.yaml")
    assert "No such file" in line


@pytest.mark.parametrize("text", ["train: [1\n", "- a\n- b\n", "just text\n", "a: b: c\n"])
def test_not_a_mapping(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    (line,) = mistakes(path)
    assert str(path) in line


def test_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    (line,) = mistakes(path)
    assert str(path) in line


# The object


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().train.lr = 1.0


def test_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDDIT_DATA", raising=False)
    assert Config().data_root() == Path("data")
    monkeypatch.setenv("REDDIT_DATA", "/elsewhere")
    assert Config().data_root() == Path("/elsewhere")
    named = resolve_config({"data": {"root": "/named"}}, source="test")
    assert named.data_root() == Path("/named")


def test_stage_defaults_are_settings_of_train() -> None:
    assert set(STAGE_DEFAULTS) <= set(TrainConfig.model_fields)
    stage = Config().distill.train.model_dump()
    assert stage.keys() == TrainConfig.model_fields.keys()
    assert {key: value for key, value in stage.items() if value is not None} == STAGE_DEFAULTS


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_key_is_refused_by_its_new_name(tmp_path: Path, old: str, new: str) -> None:
    *sections, key = old.split(".")
    raw: object = {key: 1}
    for section in reversed(sections):
        raw = {section: raw}
    path = write(tmp_path, yaml.safe_dump(raw))
    assert mistakes(path) == [f"{path}: {old}: this setting is now called {new}"]
    assert mistakes(None, f"{old}=1") == [f"--set: {old}: this setting is now called {new}"]


# Hostile files and values

NESTED = "[" * 5000
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{k}: &a{k}\n  <<: [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 12)
)


@pytest.mark.parametrize(
    "text", [BOMB, MERGES, f"name: {NESTED}", "seed: !!float abc", "name: !!timestamp foo", "? [a]\n: b"]
)
def test_a_hostile_file_ends_in_a_line_at_once(tmp_path: Path, text: str) -> None:
    (line,) = mistakes(write(tmp_path, text))
    assert len(line) < 400


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, "#" * 1_100_000))
    assert "larger than 1000000 bytes" in line


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    lines = mistakes(write(tmp_path, "train:\n" + "".join(f"  k{i}: {i}\n" for i in range(500))))
    assert len(lines) == 11 and "and 490 mistakes more" in lines[-1]


@pytest.mark.parametrize("text", ["1e6", "+1E6", "10e+05", "1_000e3", "1000000"])
def test_an_integer_may_have_an_exponent(text: str) -> None:
    assert load_config(None, [f"train.iterations={text}"]).train.iterations == 1_000_000


@pytest.mark.parametrize("text", ["1e12", "1000000000000"])
def test_a_limit_is_named_however_the_number_is_written(text: str) -> None:
    (line,) = mistakes(None, f"diffusion.steps={text}")
    assert line == "--set: diffusion.steps: should be less than or equal to 100000, not 1000000000000"


@pytest.mark.parametrize("text", ["1e-3", "1.5e6", "1e400", "512.0"])
def test_values_that_are_not_integers(text: str) -> None:
    (line,) = mistakes(None, f"diffusion.steps={text}")
    assert "diffusion.steps: should be a valid integer, not" in line


@pytest.mark.parametrize(
    "override",
    [
        "precision=!!timestamp foo",
        "model.unshuffle=1_000",
        "diffusion.steps=1000000000000",
        "model.width=100000",
        f"model.multipliers=[{'1,' * 50}1]",
        "model.multipliers=[]",
        "model.attention_levels=[-1]",
        "train.lr=.inf",
        "train.lr=.nan",
        "distill=3",
        "train=[1]",
        "a.b.c.d.e.f.g.h.i.j.k=1",
        f"name={NESTED}",
        f"name=[{'x' * 5000}]",
        "data.mix=[{dataset: 3}]",
        "name=\x1b[31m",
        "=",
        "",
    ],
)
def test_a_hostile_value_ends_in_a_line(override: str) -> None:
    with pytest.raises(UserError) as error:
        resolve_config({}, [override], source="test")
    text = str(error.value)
    assert len(text) < 1500 and text.replace("\n", "").isprintable()


def test_a_setting_of_another_method_is_refused_where_it_is_typed(tmp_path: Path) -> None:
    of_reddit = ["distill.method=progressive", "distill.reddit.omega=1"]
    with pytest.raises(UserError, match=r"only distill\.method=reddit reads it, and the method is progress"):
        load_config(None, of_reddit)
    path = write(tmp_path, "distill:\n  reddit:\n    omega: 0.3\n")  # a file may serve several methods
    assert load_config(path, of_reddit[:1]).distill.reddit.omega == 0.3


def test_one_line_for_a_value_of_several_types() -> None:
    assert mistakes(None, "data.workers=many") == [
        "--set: data.workers: should be a valid integer or 'auto', not 'many'"
    ]
    assert mistakes(None, "model=small") == ["--set: model: should be a section of settings, not 'small'"]


@pytest.mark.parametrize(
    "name", ["1e5", "010", "1_0", "1:30", "2020-01-01", "yes", "null", "0x10", ".5", "=", "~"]
)
def test_text_that_looks_like_something_else_survives_a_file(name: str, tmp_path: Path) -> None:
    config = resolve_config({"name": name}, source="test")
    assert load_config(write(tmp_path, config.to_yaml())).name == name


@pytest.mark.parametrize("name", ["2020-01-01", "1:30", "="])
def test_dates_and_times_are_text(name: str) -> None:
    assert load_config(None, [f"name={name}"]).name == name


@pytest.mark.parametrize("text", ["9" * 31, "!!int abc", "!!int '9 '", "!!float 1.2.3", "!!int [1]"])
def test_values_that_are_not_numbers(text: str) -> None:
    (line,) = mistakes(None, f"seed={text}")
    assert "not a YAML value" in line


@pytest.mark.parametrize("block", ["sr3", "light"])
def test_odd_widths_are_refused_where_they_do_not_fit(block: str) -> None:
    odd = ["model.width=33", "model.groups=1", f"model.block={block}"]
    if block == "light":
        assert load_config(None, odd).model.width == 33
        assert load_config(None, [*odd, "model.groups=32"]).model.groups == 32  # it has none
    else:
        assert "model.width: must be even" in mistakes(None, *odd)[0]


def test_the_sets_of_a_mixture() -> None:
    mix = [{"dataset": "lolv1"}, {"dataset": "photos", "folder": "a"}, {"dataset": "photos", "folder": "b"}]
    assert resolve_config({"data": {"mix": mix}}, source="test").data.sets == ("lolv1", "photos")
    assert resolve_config({"data": {"dataset": "sid"}}, source="test").data.sets == ("sid",)
