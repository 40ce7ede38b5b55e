"""A model that lies in files: on one execution provider, asked through its open graphs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..checks import flag, path_list, whole
from ..errors import ModelRunError, OptionError
from ..imaging.parts import check_pillow
from ..imaging.resample import resize_alpha
from ..registry.spec import ModelSpec, Output
from ..runtime.graph import FLOATS, Graph
from ..runtime.options import choose_providers, runtime_options, session_options
from ..runtime.providers import GPU_PROVIDERS
from ..text import quotable, short
from ..weights import store
from .preprocess import LONGEST_SIDE, input_size_hw, normalize, output_to_alphas
from .protocol import Layer
from .rembg_api import BaseSession

_log = logging.getLogger("rembg_sessions")

CLOTH_CATEGORIES = ("upper", "lower", "full", "attire")


class Model:
    """The files of one model on one execution provider, without what it answers.

    Thread-safe. The weights are found (or downloaded) when it is made; a graph is loaded on
    first use, can be closed with :meth:`close` and reopens by itself.

    Parameters
    ----------
    model_name, sess_opts
        As rembg passes them: the registry name, and an ``onnxruntime.SessionOptions``.
    model_path
        The .onnx file, for the models whose file the user supplies: a path, or a name in one of
        the model folders. Check names from elsewhere with :func:`.weights.own.custom_path`.
    input_size
        Height and width, in pixels, at which the network looks at a picture: a multiple of 32
        (BiRefNet: of 64), below its own. None is its own, whose masks are rembg's.
    prepare
        Whether to change the network's graph so that it runs faster, to the same masks; those of
        a BiRefNet in half precision come nearer to the whole file's. What it becomes is kept in a
        folder beside the file. ``"float32"`` also has the CPU compute in float32 what the file
        keeps in float16: 5 % faster, with pixels a level or two off.
    folders
        Model folders to look in first; downloads go to the first of them, or to
        ``$U2NET_HOME`` (default ``~/.u2net``).
    on_progress
        Called with (bytes done, bytes total) while downloading; may raise to cancel.
    **options
        The other fields of :class:`.runtime.options.RuntimeOptions`.

    Raises
    ------
    OptionError, ModelPathError, WeightsError, RuntimeMissingError
    """

    spec: ClassVar[ModelSpec]

    def __init__(
        self,
        model_name: str | None = None,
        sess_opts: Any = None,
        *,
        model_path: str | os.PathLike[str] | None = None,
        input_size: int | None = None,
        prepare: bool | Literal["float32"] = True,
        folders: Sequence[Path] = (),
        on_progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ):
        folders = path_list("folders", folders)
        if on_progress is not None and not callable(on_progress):
            raise OptionError(f"on_progress is {short(on_progress)}; use a function.")
        self.model_name = model_name or self.spec.name
        float32 = isinstance(prepare, str) and prepare == "float32"
        faster = float32 or flag("prepare", prepare)
        self.input_size = _input_size(self.spec, input_size)
        self.options = {
            "model_path": model_path,
            "input_size": self.input_size,
            "prepare": prepare,
            "folders": folders,
            **options,
        }
        if sess_opts is not None:
            self.options["sess_opts"] = sess_opts
        # everything that can be wrong about the options is found before the download
        runtime = runtime_options(self.model_name, sess_opts, options)
        choice, own = choose_providers(runtime), session_options(runtime)
        self.paths = store.locate(self.spec, model_path, folders=folders, on_progress=on_progress)
        if self.spec.custom:  # the working folder may change, or be another process's
            self.options["model_path"] = self.paths[0]
        # some files are data that a graph reads by itself; a user's own may have any name
        names = [file.file for file in self.spec.weights] or ["own.onnx"]
        step = partial(_prepare, faster=faster, float32=float32, input_size=self.input_size)
        self.graphs = tuple(
            Graph(
                path,
                choice,
                own,
                cpu_fallback=runtime.cpu_fallback,
                prepare=step,
                must_prepare=self.input_size is not None,
            )
            for name, path in zip(names, self.paths, strict=True)
            if name.endswith(".onnx")
        )
        self._stamp = _stamp(self.paths)
        self.companion: object = None
        """Whatever the host program wants to live exactly as long as the model."""

    @property
    def provider(self) -> str:
        """Short name of the provider really used; opens the model if need be."""
        return self.graphs[0].provider

    @property
    def is_open(self) -> bool:
        """Whether the model is in memory."""
        return any(graph.is_open for graph in self.graphs)

    @property
    def uses_gpu(self) -> bool:
        """Whether it runs, or will try to run, on a provider that takes video memory."""
        return self.graphs[0].wanted in GPU_PROVIDERS

    @property
    def size(self) -> int:
        """Bytes of the weights on disk."""
        return sum(path.stat().st_size for path in self.paths)

    def is_current(self) -> bool:
        """Return whether the files on disk are still those the model was made from."""
        try:
            return self._stamp == _stamp(self.paths)
        except OSError:
            return False

    def open(self) -> None:
        """Load the model now instead of on first use.

        Raises
        ------
        ProviderError, ModelRunError
        """
        for graph in self.graphs:
            _ = graph.session

    def close(self) -> None:
        """Release the model's memory; the next use opens it again."""
        for graph in self.graphs:
            graph.close()

    def give_back(self) -> None:
        """Give back the memory that runs worked in; the model stays open.

        Happens by itself after a second without a run.
        """
        for graph in self.graphs:
            graph.give_back()


def _prepare(path: Path, provider: Any, **wish: Any) -> tuple[Path | bytes, Any]:
    from ..prepare import step  # here: importing the nodes takes less

    return step.prepare(path, provider, **wish), step.with_kept_engines(path, provider, **wish)


def _input_size(spec: ModelSpec, value: int | None) -> int | None:
    if value is None:
        return None
    if spec.output in (Output.SAM, Output.MATTE):
        raise OptionError(f"{spec.name} does not take an input_size: its file is made for one.")
    multiple = spec.side_multiple
    value = whole("input_size", value, multiple, LONGEST_SIDE)
    if value % multiple:
        raise OptionError(f"input_size is {value}; use a multiple of {multiple}.")
    return value


def _stamp(paths: Sequence[Path]) -> list[tuple[int, int]]:
    stats = [path.stat() for path in paths]
    return [(stat.st_mtime_ns, stat.st_size) for stat in stats]


class NetworkSession(Model, BaseSession):
    """A network that finds the foreground of a picture. Arguments: see :class:`Model`."""

    def __init__(self, model_name: str | None = None, sess_opts: Any = None, **options: Any):
        super().__init__(model_name, sess_opts, **options)
        self.recipe = self.spec
        """The row that says what the network takes and answers."""
        self._warning = ""
        self._is_told = True
        if self.spec.custom:
            from .own import misfit, own_recipe  # here: importing the nodes takes less

            self.recipe = own_recipe(self.spec, self.paths[0])
            _input_size(self.recipe, self.input_size)
            self._warning = misfit(self.spec, self.paths[0])
            self._is_told = False
            if self._warning:
                _log.warning("%s.", self._warning)

    @property
    def stretches(self) -> bool:
        """Whether it brings the network's answers to the full range of 0..1, picture by picture."""
        return self.recipe.min_max and self.recipe.output is not Output.LABELS

    def predict_layers(
        self, image: Image.Image, *, stretch: bool = True, **options: Any
    ) -> list[Layer]:
        """See :meth:`BaseSession.predict_layers`; ``stretch`` False leaves answers as they are."""
        if stretch or not self.stretches:
            layers = super().predict_layers(image, **options)
            if not self._warning:
                return layers
            return [Layer(layer.alpha, warning=self._warning) for layer in layers]
        check_pillow(image)
        question = {"sam_prompt": None, "cloth_category": None, **options}
        alphas = self._answer(image, **question, stretch=False)
        size_hw = (image.height, image.width)
        return [
            Layer(resize_alpha(alpha, size_hw), warning=self._warning, stretched=False)
            for alpha in alphas
        ]

    def feed(self, image: Image.Image) -> dict[str, NDArray[np.float32]]:
        """Return what the network takes for a picture: float32 (1, 3, H, W) by input name."""
        graph, recipe = self.graphs[0], self.recipe
        size_hw = input_size_hw(recipe, (image.height, image.width), self.input_size)
        if recipe.custom:
            size_hw = _declared_size(graph, size_hw)
        array = normalize(image, recipe.mean, recipe.std, size_hw, scale_by_max=recipe.scale_by_max)
        return {graph.inputs()[0][0]: array}

    def _find_alphas(
        self, image: Image.Image, *, sam_prompt: object, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        return self._answer(image, sam_prompt, cloth_category, stretch=True)

    def _answer(
        self,
        image: Image.Image,
        sam_prompt: object,
        cloth_category: str | None,
        *,
        stretch: bool,
    ) -> list[NDArray[np.float32]]:
        if sam_prompt is not None:
            raise OptionError(f"{self.spec.name} does not take a sam_prompt; use a sam model.")
        if cloth_category is not None:
            check_category(self.spec, cloth_category)
        answer = self.graphs[0].run(self.feed(image))
        alphas = output_to_alphas(answer, self.recipe, stretch=stretch)
        if not self._is_told:
            from .own import remember

            remember(self.spec, self.paths[0])
            self._is_told = True
        if cloth_category is None:
            return alphas
        if cloth_category == "attire":
            return [np.maximum.reduce(alphas)]
        return [alphas[CLOTH_CATEGORIES.index(cloth_category)]]


def check_category(spec: ModelSpec, category: str) -> None:
    """Raise OptionError unless a model finds clothes of a category."""
    if spec.output is not Output.LABELS:
        raise OptionError(f"{spec.name} does not find clothes; use u2net_cloth_seg.")
    if not isinstance(category, str) or category not in CLOTH_CATEGORIES:
        allowed = ", ".join(CLOTH_CATEGORIES)
        raise OptionError(f"{short(category)} is not a cloth category; use one of {allowed}.")


def _declared_size(graph: Graph, default_hw: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) that a user's file wants.

    Raises
    ------
    ModelRunError
        If it does not take one picture and answer with numbers.
    """
    inputs, outputs = graph.inputs(), graph.outputs()
    if len(inputs) == 1 and outputs and outputs[0][2] in FLOATS and inputs[0][2] in FLOATS:
        shape = inputs[0][1]
        if len(shape) == 4:
            # names and None stand for any size
            wanted = [
                size if isinstance(size, int) else free
                for size, free in zip(shape, (1, 3, *default_hw), strict=True)
            ]
            sides = wanted[2:]
            if wanted[:2] == [1, 3] and min(sides) >= 1 and max(sides) <= LONGEST_SIDE:
                return sides[0], sides[1]
    takes, answers = (
        quotable(", ".join(f"{name}: {kind} {shape}" for name, shape, kind in nodes) or "nothing")
        for nodes in (inputs, outputs[:1])
    )
    raise ModelRunError(
        f"{graph.path.name} is not a background removal model: it takes {takes} and answers with "
        f"{answers}. Choose a file that takes one picture, tensor(float) [1, 3, height, width] of "
        f"at most {LONGEST_SIDE} pixels a side, and answers with numbers."
    )
