"""The user's options: a configuration, overrides, seeds and iterations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from reddit.config import Config, is_read, load_config, readers, settings_for
from reddit.reproduce.plan import Arm
from reddit.utils.errors import UserError
from reddit.utils.text import short


@dataclass(frozen=True)
class Choice:
    """The user's options besides the target.

    Attributes:
        file, settings: the configuration and its `--set` overrides.
        seeds: seeds of the training runs and of their sampling noise.
        iterations: iterations of each distillation stage; None: the configuration's.
        teacher_seeds: train a teacher for each seed; else all seeds share the configuration's.
        folds: number of folds of a cross-validation; 0: none.
        fold: the fold that these runs are tested on; None: all, or there are none.
    """

    file: str | None
    settings: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    iterations: int | None = None
    teacher_seeds: bool = False
    folds: int = 0
    fold: int | None = None

    def in_fold(self, fold: int) -> Choice:
        """The options of the runs that are tested on one fold; each fold has its own seeds."""
        own = self.base().seed * self.folds + fold
        seeds = tuple(seed * self.folds + fold for seed in self.seeds)
        settings = (*self.settings, f"data.folds={self.folds}", f"data.fold={fold}", f"seed={own}")
        return replace(self, settings=settings, seeds=seeds, fold=fold)

    def base(self) -> Config:
        """The configuration of a teacher."""
        return load_config(self.file, self.of_teacher())

    def method(self, arm: Arm | None = None) -> str:
        """The configured distillation method, or that of an arm."""
        settings = [*self.settings, *(arm.settings if arm else ())]
        return load_config(self.file, settings_for(settings)).distill.method

    def of_teacher(self, *more: str) -> tuple[str, ...]:
        """The overrides for a teacher, without those that only other arms' methods read."""
        return tuple(settings_for([*self.settings, *more], "teacher", self.method()))

    def of_student(self, arm: Arm, *more: str) -> tuple[str, ...]:
        """The overrides for a student of an arm, without those that its method does not read."""
        return tuple(settings_for([*self.settings, *arm.settings, *more], self.method(arm)))

    def check(self, arms: Iterable[Arm]) -> None:
        """Check that each of the user's settings is read by some run.

        Raises:
            UserError: no run reads one of them.
        """
        methods = {"teacher", self.method(), *map(self.method, arms)}
        for setting in self.settings:
            key = setting.partition("=")[0]
            if not is_read(key, methods):
                would = " or ".join(readers(key) or ())
                raise UserError(f"--set {short(setting)}: no run here reads it; only {would} would")

    def variant(self) -> str:
        """A suffix for the names of runs with other iterations, own teachers, or folds; else empty."""
        own = (f"-{self.iterations}it" if self.iterations else "") + "-teachers" * self.teacher_seeds
        return own + self.of_fold()

    def of_fold(self) -> str:
        """A suffix for the names of a fold's runs, and for pages; empty without folds."""
        if not self.folds:
            return ""
        return f"-{self.folds}folds" if self.fold is None else f"-{self.fold + 1}of{self.folds}"
