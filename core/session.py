"""A model that is ready to answer: its row of the registry and its open graphs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import composite, preprocess, weights
from .doctor import doctor_command
from .errors import ModelRunError, OptionError
from .foreground import Band
from .graph import CPU, FLOATS, Graph, import_onnxruntime, session_options, warn_once
from .providers import GPU_PROVIDERS, choose, host_accelerator
from .spec import ModelSpec, Output

CLOTH_CATEGORIES = ("upper", "lower", "full", "attire")


class Model:
    """The files of one model on one execution provider, without what it answers.

    Thread-safe. The weights are found (or downloaded) when the session is made; the graph
    is loaded on first use, can be closed with :meth:`close` and reopens by itself.

    Parameters
    ----------
    model_name, sess_opts
        As rembg passes them: the registry name, and an ``onnxruntime.SessionOptions``.
    providers
        None or ``"Auto"``, a name such as ``"CUDA"``, or ONNX Runtime's own list.
    model_path
        The .onnx file, for the models whose file the user supplies.
    folders
        Model folders to look in first; downloads go to the first of them, or to
        ``$U2NET_HOME`` (default ``~/.u2net``).
    on_progress
        Called with (bytes done, bytes total) while downloading; may raise to cancel.
    cpu_fallback
        Whether the CPU may take over, with a warning, from a provider asked for by name.
    runs_on
        What the caller's other models run on (``"cuda"``, ``"cpu"``, …), for Auto; None
        asks the machine.
    device_id
        Index of the GPU.
    threads, optimization
        See :func:`.graph.session_options`.

    Raises
    ------
    UnknownModelError, OptionError, ModelPathError, WeightsError, RuntimeMissingError
    """

    spec: ClassVar[ModelSpec]

    def __init__(
        self,
        model_name: str | None = None,
        sess_opts: Any = None,
        *,
        providers: Any = None,
        model_path: str | os.PathLike[str] | None = None,
        folders: Sequence[Path] = (),
        on_progress: Callable[[int, int], None] | None = None,
        cpu_fallback: bool = True,
        runs_on: str | None = None,
        device_id: int = 0,
        threads: int | None = None,
        optimization: str | None = None,
    ):
        self.model_name = model_name or self.spec.name
        # everything that can be wrong about the arguments is found before the download
        available = import_onnxruntime().get_available_providers()
        choice = choose(providers, available, runs_on, device_id=device_id)
        if not choice.explicit:
            runs_on = runs_on or host_accelerator()
            choice = choose(providers, available, runs_on, device_id=device_id)
            if runs_on != "cpu" and choice.providers == (CPU,):
                warn_once(
                    f"This machine has an accelerator ({runs_on}), but the installed onnxruntime "
                    f"has no provider for it: running on the CPU. `{doctor_command()}` tells more."
                )
        options = session_options(sess_opts, threads=threads, optimization=optimization)
        self.paths = self.find_weights(model_path, folders, on_progress)
        self.graphs = tuple(
            Graph(path, choice, options, cpu_fallback=cpu_fallback)
            for path in self.paths
            if path.suffix == ".onnx"  # the rest is data that a graph reads by itself
        )
        self._stamp = _stamp(self.paths)
        self.companion: Any = None
        """Whatever the host program wants to live exactly as long as the session."""

    @classmethod
    def find_weights(
        cls,
        model_path: str | os.PathLike[str] | None = None,
        folders: Sequence[Path] = (),
        on_progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Path, ...]:
        """Return the files of this model, downloading what is missing.

        Raises
        ------
        ModelPathError, WeightsError, OptionError
        """
        if cls.spec.custom:
            return (weights.custom_path(model_path, folders),)
        if model_path is not None:
            raise OptionError(
                f"{cls.spec.name} has its own file and takes no model_path. For your own file "
                "use u2net_custom, dis_custom or ben_custom."
            )
        return weights.ensure(cls.spec, folders=folders, on_progress=on_progress)

    # -- what the session is ---------------------------------------------------------

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
        """Return whether the files on disk are still those the session was made from."""
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


class BaseSession(Model):
    """A model that finds the foreground of a picture. Arguments: see :class:`Model`."""

    @property
    def inner_session(self) -> Any:
        """The ``onnxruntime.InferenceSession``, under rembg's name."""
        return self.graphs[0].session

    # -- what it does ----------------------------------------------------------------

    def predict_alpha(
        self,
        image: Image.Image,
        *,
        sam_prompt: Any = None,
        cloth_category: str | None = None,
    ) -> list[NDArray[np.float32]]:
        """Estimate alpha at the picture's size.

        Parameters
        ----------
        image
            Any mode; converted to RGB.
        sam_prompt
            Only for models that take prompts.
        cloth_category
            ``upper``, ``lower``, ``full`` or ``attire``, only for clothes models; None
            gives the first three, one mask each.

        Returns
        -------
        list of ndarray
            float32 (H, W), 0 background .. 1 foreground.

        Raises
        ------
        OptionError, ModelRunError, ProviderError
        """
        size_hw = (image.height, image.width)
        alphas = self._alphas(image, sam_prompt=sam_prompt, cloth_category=cloth_category)
        return [preprocess.resize_alpha(alpha, size_hw) for alpha in alphas]

    def predict_layers(
        self, image: Image.Image, **options: Any
    ) -> list[tuple[NDArray[np.float32], Band | None]]:
        """Estimate alpha, and the colours of soft edges where the model knows them.

        Arguments as in :meth:`predict_alpha`.

        Returns
        -------
        list of (alpha, band)
            ``band`` is None where the colours must be estimated from alpha, as for every
            network.
        """
        return [(alpha, None) for alpha in self.predict_alpha(image, **options)]

    def predict(
        self,
        img: Image.Image,
        *,
        sam_prompt: Any = None,
        cloth_category: str | None = None,
        cc: str | None = None,
    ) -> list[Image.Image]:
        """Estimate masks as rembg's sessions do: Pillow pictures of mode L.

        See :meth:`predict_alpha`; ``cc`` is rembg's short name of ``cloth_category``.
        """
        alphas = self._alphas(img, sam_prompt=sam_prompt, cloth_category=cloth_category or cc)
        size_hw = (img.height, img.width)
        # truncated to 8 bit before the resize: rembg's masks, pixel by pixel
        small = [Image.fromarray((alpha * 255).astype(np.uint8)) for alpha in alphas]
        return [preprocess.resize(mask, size_hw) for mask in small]

    def process(self, img: Image.Image, **options: Any) -> Image.Image:
        """Cut one picture out: RGB in, RGBA out with estimated foreground colours.

        Options as in :meth:`predict_alpha`; several masks are joined.
        """
        layers = self.predict_layers(img, **options)
        alpha = np.maximum.reduce([alpha for alpha, _ in layers])
        band = layers[0][1] if len(layers) == 1 else None
        mask = preprocess.alpha_to_mask(alpha)
        return composite.estimated_cutout(img.convert("RGB"), mask, band)

    def normalize(
        self,
        img: Image.Image,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        size: tuple[int, int],
    ) -> dict[str, NDArray[np.float32]]:
        """Prepare the network's input as rembg does.

        Parameters
        ----------
        img
            Any mode.
        mean, std
            Per RGB channel.
        size
            (width, height), as Pillow counts.

        Returns
        -------
        dict
            Input name → float32 (1, 3, height, width).
        """
        name = self.graphs[0].inputs()[0][0]
        return {name: preprocess.normalize(img, mean, std, (size[1], size[0]))}

    def _alphas(
        self, image: Image.Image, *, sam_prompt: Any, cloth_category: str | None
    ) -> list[NDArray[np.float32]]:
        """Run the network: alphas at the network's size."""
        if sam_prompt is not None:
            raise OptionError(f"{self.spec.name} takes no sam_prompt; use a sam model.")
        if cloth_category is not None:
            _check_category(self.spec, cloth_category)
        graph = self.graphs[0]
        size_hw = preprocess.input_size_hw(self.spec, (image.height, image.width))
        if self.spec.custom:
            size_hw = _declared_size(graph) or size_hw
        array = preprocess.normalize(
            image, self.spec.mean, self.spec.std, size_hw, scale_by_max=self.spec.scale_by_max
        )
        name = graph.inputs()[0][0]
        alphas = preprocess.output_to_alphas(graph.run({name: array})[0], self.spec)
        if cloth_category is None:
            return alphas
        if cloth_category == "attire":
            return [np.maximum.reduce(alphas)]
        return [alphas[CLOTH_CATEGORIES.index(cloth_category)]]

    # -- rembg's class methods -------------------------------------------------------

    @classmethod
    def name(cls) -> str:
        """Return the registry name."""
        return cls.spec.name

    @classmethod
    def download_models(cls, *, model_path: str | None = None) -> Any:
        """Find or download the weights: a path, or a tuple of paths if there are several."""
        paths = tuple(str(path) for path in cls.find_weights(model_path))
        return paths[0] if len(paths) == 1 else paths

    @classmethod
    def u2net_home(cls) -> str:
        """Return the folder where downloads are stored."""
        return str(weights.home())

    @classmethod
    def checksum_disabled(cls) -> bool:
        """Return whether ``MODEL_CHECKSUM_DISABLED`` is set."""
        return os.getenv("MODEL_CHECKSUM_DISABLED") is not None


def _stamp(paths: Sequence[Path]) -> list[tuple[int, int]]:
    stats = [path.stat() for path in paths]
    return [(stat.st_mtime_ns, stat.st_size) for stat in stats]


def _check_category(spec: ModelSpec, category: str) -> None:
    if spec.output is not Output.LABELS:
        raise OptionError(f"{spec.name} knows no clothes; use u2net_cloth_seg.")
    if category not in CLOTH_CATEGORIES:
        allowed = ", ".join(CLOTH_CATEGORIES)
        raise OptionError(f"{category!r} is no cloth category; use one of {allowed}.")


def _declared_size(graph: Graph) -> tuple[int, int] | None:
    """Return the (height, width) that a user's file declares, where it fixes one.

    Raises
    ------
    ModelRunError
        If what it takes is no picture.
    """
    inputs = graph.inputs()
    _, shape, kind = inputs[0]
    is_picture = len(shape) == 4 and not (isinstance(shape[1], int) and shape[1] != 3)
    if len(inputs) > 1 or not is_picture or kind not in FLOATS:
        takes = ", ".join(f"{name}: {kind} {shape}" for name, shape, kind in inputs)
        raise ModelRunError(
            f"{graph.path.name} is no background removal model: it takes {takes}, and not one "
            "picture, tensor(float) [1, 3, height, width]. Choose another file."
        )
    if isinstance(shape[2], int) and isinstance(shape[3], int):
        return shape[2], shape[3]
    return None
