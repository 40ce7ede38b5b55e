"""Closed-form matting, against an oracle that solves small pictures in long double."""

from __future__ import annotations

import re
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from oracle import oracle

from rembg_sessions.core.matting.closed_form import (
    choice,
    estimate,
    loops_numeric,
    loops_symbolic,
    memory,
    numba_backend,
    numpy_backend,
    tree,
)
from rembg_sessions.core.matting.closed_form.cancel import StoppedError
from rembg_sessions.core.matting.closed_form.estimate import estimate_alpha_closed_form
from rembg_sessions.core.matting.closed_form.laplacian import window_offsets, window_vectors
from rembg_sessions.core.matting.closed_form.memory import BudgetError, predict_memory
from rembg_sessions.core.matting.closed_form.numeric import solve
from rembg_sessions.core.matting.closed_form.symbolic import analyse

# Errors in levels of 8 bit; the issue allows 1. Measured: 8e-5 at most.
EXACT = 1e-3


# -- pictures and trimaps ---------------------------------------------------------------------


def ring(side=40, inner=7.0, outer=15.0):
    """A trimap: a disc of foreground, a ring of unknown pixels, background."""
    rows, columns = np.mgrid[:side, :side]
    distance = np.hypot(rows - side / 2, columns - side / 2)
    trimap = np.full((side, side), 0.5, np.float32)
    trimap[distance < inner], trimap[distance > outer] = 1, 0
    return trimap


def grey(levels):
    return np.repeat(np.asarray(levels)[..., None], 3, 2).clip(0, 255).astype(np.uint8)


def picture(kind, shape=(40, 40)):
    rng = np.random.default_rng(1)
    columns = np.broadcast_to(np.arange(shape[1]), shape)
    if kind == "colour noise":
        return rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    if kind == "grey noise":
        return grey(rng.integers(0, 256, shape))
    if kind == "black and white noise":
        return grey(rng.integers(0, 2, shape) * 255)
    if kind == "stars":
        return grey((rng.random(shape) < 0.05) * 255)
    if kind == "stripes":
        return grey(columns // 2 % 2 * 255)
    if kind == "grey ramp":
        return grey(columns * 5 + rng.integers(0, 2, shape))
    assert kind == "one colour"
    return np.full((*shape, 3), (90, 120, 33), np.uint8)


# the loops, as plain Python
LOOPS = SimpleNamespace(**{**vars(loops_symbolic), **vars(loops_numeric)})
KINDS = ("colour noise", "grey noise", "black and white noise", "stars", "stripes", "grey ramp")


@pytest.fixture(autouse=True)
def in_numpy(monkeypatch):
    """Keep the compiler out of all tests but those that ask for it."""
    monkeypatch.setattr(choice, "compiled", lambda: None)


@pytest.fixture(params=["numpy", "loops"])
def backend(request, monkeypatch):
    """Solve in numpy, or with the loops that are meant for the compiler, in many small nodes."""
    monkeypatch.setattr(numpy_backend, "LEAF", 8)
    monkeypatch.setattr(LOOPS, "LEAF", 8)
    monkeypatch.setattr(tree, "_SMALL", 100)
    chosen = numpy_backend if request.param == "numpy" else LOOPS
    monkeypatch.setattr(choice, "compiled", lambda: chosen)
    return chosen


def levels(a, b):
    return float(np.abs(a.astype(np.float64) - b).max() * 255)


# -- the right answer -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "one colour"])
def test_it_is_exact(kind):
    image, trimap = picture(kind), ring()
    alpha = estimate_alpha_closed_form(image, trimap)
    assert alpha.dtype == np.float32 and alpha.shape == trimap.shape
    assert levels(alpha, oracle(image, trimap)) < EXACT
    assert np.array_equal(alpha[trimap != 0.5], trimap[trimap != 0.5])


@pytest.mark.parametrize("seed", range(6))
def test_any_trimap_is_solved_by_both_backends(backend, seed):
    rng = np.random.default_rng(seed)
    shape = [(3, 3), (3, 19), (17, 3), (9, 9), (5, 14), (12, 11)][seed]
    # scattered, up to the rim and into the corners
    trimap = rng.choice(np.array([0, 0.5, 0.5, 0.5, 1], np.float32), shape)
    image = picture(KINDS[seed], shape)
    assert levels(estimate_alpha_closed_form(image, trimap), oracle(image, trimap)) < EXACT


@pytest.mark.parametrize("kind", ["stripes", "black and white noise"])
def test_grey_pictures_on_which_the_reference_is_wrong(kind):
    pytest.importorskip("pymatting")
    from pymatting.alpha.estimate_alpha_cf import estimate_alpha_cf

    image, trimap = picture(kind, (60, 60)), ring(60, 12, 22)
    right = oracle(image, trimap)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says itself that the matrix is not definite
        theirs = estimate_alpha_cf(image / 255.0, trimap.astype(np.float64))
    error = np.abs(theirs - right)[trimap == 0.5] * 255
    assert error.max() > 10 and np.mean(error > 1) > 0.3  # measured: 50 and 25, 56 % and 72 %
    assert levels(estimate_alpha_closed_form(image, trimap), right) < EXACT


def test_on_photos_it_agrees_with_the_reference(shared):
    pytest.importorskip("pymatting")
    from PIL import Image
    from pymatting.alpha.estimate_alpha_cf import estimate_alpha_cf

    size = (340, 220)
    image = np.asarray(Image.open(shared / "images/lemur.png").convert("RGB").resize(size))
    drawn = np.asarray(Image.open(shared / "images/lemur_trimap.png").convert("L").resize(size, 0))
    trimap = np.select([drawn > 250, drawn < 5], [1, 0], 0.5).astype(np.float32)
    theirs = estimate_alpha_cf(image / 255.0, trimap.astype(np.float64))
    error = np.abs(estimate_alpha_closed_form(image, trimap) - theirs)[trimap == 0.5] * 255
    assert np.mean(error > 1) <= 0.01
    assert error.max() < 0.1  # measured: 0.005


def test_windows_have_no_negative_eigenvalue():
    image = picture("stripes").reshape(-1, 3)
    vectors = window_vectors(image, 40, np.arange(41, 79))
    values = np.linalg.eigvalsh(np.eye(9) - vectors @ vectors.transpose(0, 2, 1))
    assert values.min() > -1e-14
    constant = (np.eye(9) - vectors @ vectors.transpose(0, 2, 1)).sum(axis=2)
    assert np.abs(constant).max() < 1e-12
    assert window_offsets(40).tolist() == [-41, -40, -39, -1, 0, 1, 39, 40, 41]


# -- both backends, any number of threads -----------------------------------------------------


def test_loops_and_numpy_analyse_the_same(monkeypatch):
    monkeypatch.setattr(numpy_backend, "LEAF", LOOPS.LEAF)
    trimap, go_on = ring(60, 12, 25), np.zeros(1, np.uint8)
    a, b = analyse(trimap, LOOPS, go_on), analyse(trimap, numpy_backend, go_on)
    for name in ("pixels", "position", "borders", "nodes"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for node in range(len(a.nodes) - 1):
        part = slice(*a.nodes[node : node + 2, loops_numeric.WINDOW])
        assert set(a.windows[part]) == set(b.windows[part])
    assert a.tasks == b.tasks and predict_memory(a, 2) == predict_memory(b, 2) > 4 * a.factor_size
    assert np.array_equal(np.sort(a.pixels), np.flatnonzero(trimap == 0.5))


def test_a_separator_lies_between_what_it_separates():
    symbolic = analyse(ring(60, 12, 25), numpy_backend, np.zeros(1, np.uint8))
    touched = symbolic.position[symbolic.windows[:, None] + window_offsets(60)]
    node_of = np.repeat(
        np.arange(len(symbolic.nodes) - 1), np.diff(symbolic.nodes[:, loops_numeric.PIXEL])
    )
    first = symbolic.nodes[:, loops_numeric.FIRST]
    for window in touched:
        unknown = np.sort(node_of[window[window < len(node_of)]])
        # of two nodes in one window, the earlier lies in the subtree of the later
        assert (first[unknown[1:]] <= unknown[:-1]).all()


@pytest.mark.parametrize("name", ["numpy", "compiled"])
def test_the_number_of_threads_changes_nothing(name, monkeypatch):
    monkeypatch.setattr(tree, "_SMALL", 1000)
    if name == "compiled":
        pytest.importorskip("numba")
        built = numba_backend.wait_until_compiled(120)
        assert built is not None
        monkeypatch.setattr(choice, "compiled", lambda: built)
    image, trimap = picture("colour noise", (90, 90)), ring(90, 20, 40)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(estimate, "thread_count", lambda threads=threads: threads)
        results.append(estimate_alpha_closed_form(image, trimap))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    monkeypatch.setattr(choice, "compiled", lambda: None)
    assert levels(results[0], estimate_alpha_closed_form(image, trimap)) < EXACT


def test_compiled_code_takes_over_in_the_middle(monkeypatch):
    monkeypatch.setattr(tree, "_SMALL", 1000)
    calls = []

    def factorise(*arguments):
        calls.append("loops")
        return numpy_backend.factorise(*arguments)

    loops = SimpleNamespace(factorise=factorise, back_substitute=numpy_backend.back_substitute)
    asked = iter(range(1000))
    monkeypatch.setattr(choice, "compiled", lambda: loops if next(asked) > 8 else None)
    image, trimap = picture("colour noise"), ring()
    alpha = estimate_alpha_closed_form(image, trimap)
    assert calls
    assert levels(alpha, oracle(image, trimap)) < EXACT


def test_pictures_that_cannot_be_written_or_are_cut_out_of_others():
    image, trimap = picture("colour noise", (50, 60)), ring()
    part = image[5:45, 9:49]
    part.flags.writeable = trimap.flags.writeable = False
    alpha = estimate_alpha_closed_form(part, trimap)
    assert levels(alpha, estimate_alpha_closed_form(part.copy(), np.asfortranarray(trimap))) == 0


# -- defined results --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2)])
def test_pictures_without_windows_stay_unsolved(shape):
    trimap = np.full(shape, 0.5, np.float32)
    trimap[0, 0] = 1
    alpha = estimate_alpha_closed_form(np.zeros((*shape, 3), np.uint8), trimap)
    assert np.array_equal(alpha, trimap) and alpha is not trimap


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_trimaps_of_one_kind_come_back(value):
    trimap = np.full((9, 9), value, np.float32)
    assert np.array_equal(estimate_alpha_closed_form(picture("stars", (9, 9)), trimap), trimap)


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("kind", ["colour noise", "stripes"])
def test_with_one_side_only_alpha_is_that_side(backend, known, kind):
    trimap = np.full((9, 12), 0.5, np.float32)
    trimap[0, 0] = known
    alpha = estimate_alpha_closed_form(picture(kind, (9, 12)), trimap)
    assert levels(alpha, np.full((9, 12), float(known))) < EXACT


def test_several_regions_do_not_disturb_each_other():
    trimap = np.concatenate([ring(), 1 - ring(), ring()], axis=1)
    image = picture("colour noise", (40, 120))
    alpha = estimate_alpha_closed_form(image, trimap)
    for left in (0, 40, 80):
        part = np.s_[:, left : left + 40]
        alone = estimate_alpha_closed_form(image[part], trimap[part])
        assert levels(alpha[part], alone) < EXACT


# -- limits -----------------------------------------------------------------------------------


def test_the_budget_is_checked_before_factoring(monkeypatch):
    monkeypatch.setattr(numpy_backend, "factorise", None)
    with pytest.raises(BudgetError, match=r"at least 434 KiB .* may use 195 KiB") as caught:
        estimate_alpha_closed_form(picture("stars"), ring(), memory=200_000)
    assert caught.value.budget == 200_000 < caught.value.need < 1e8
    assert isinstance(caught.value, MemoryError)


def test_planning_itself_obeys_the_budget(monkeypatch):
    monkeypatch.setattr(estimate, "analyse", None)
    with pytest.raises(BudgetError) as caught:
        estimate_alpha_closed_form(picture("stars"), ring(), memory=1000)
    assert caught.value.budget == 1000 < caught.value.need < 200_000


def test_a_quarter_of_the_free_memory_is_the_budget_less_what_libraries_take(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: memory._LIBRARIES + 4000)
    with pytest.raises(BudgetError) as caught:
        estimate_alpha_closed_form(picture("stars"), ring())
    assert caught.value.budget == 1000
    monkeypatch.setattr(memory, "free_memory", lambda: 0)  # told, and none
    with pytest.raises(BudgetError, match="may use none"):
        estimate_alpha_closed_form(picture("stars"), ring())


def test_the_need_grows_with_the_band():
    go_on = np.zeros(1, np.uint8)
    small, large = (analyse(ring(80, 20, outer), numpy_backend, go_on) for outer in (25, 38))
    assert predict_memory(large, 2) > predict_memory(small, 2)
    assert predict_memory(large, 8) > predict_memory(large, 1)
    assert large.operations > 2 * small.operations


class Cancelled(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_step_may_cancel(after, monkeypatch):
    steps, entered = [], threading.Event()

    def slow(*arguments):
        entered.set()
        stopped = arguments[-1]
        while not stopped[0]:
            pass
        return -1

    def on_step():
        steps.append(threading.current_thread())
        if len(steps) > after and (after == 0 or entered.is_set()):
            raise Cancelled

    monkeypatch.setattr(numpy_backend, "factorise", slow)
    with pytest.raises(Cancelled):
        estimate_alpha_closed_form(picture("stars"), ring(), on_step=on_step)
    assert set(steps) == {threading.current_thread()}
    assert not [thread for thread in threading.enumerate() if "matting" in thread.name]


def test_stopped_work_ends_early(backend):
    stopped = np.ones(1, np.uint8)
    with pytest.raises(StoppedError):
        analyse(ring(), backend, stopped)
    go_on = np.zeros(1, np.uint8)
    symbolic = analyse(ring(), backend, go_on)
    with pytest.raises(StoppedError):
        solve(symbolic, picture("stars"), stopped, 2)


def test_who_waits_for_anothers_numpy_may_cancel():
    def on_step():
        raise Cancelled

    with choice.fastest(np.zeros(1, np.uint8)) as backend:  # as another solution does
        assert backend is numpy_backend
        with pytest.raises(Cancelled):
            estimate_alpha_closed_form(picture("stars"), ring(), on_step=on_step)


def test_who_waits_for_anothers_numpy_takes_compiled_code_when_it_is_there(monkeypatch):
    faster, lent = SimpleNamespace(), []
    go_on = np.zeros(1, np.uint8)

    def wait():
        with choice.fastest(go_on) as backend:
            lent.append(backend)

    with choice.fastest(go_on):
        waiting = threading.Thread(target=wait)
        waiting.start()
        monkeypatch.setattr(choice, "compiled", lambda: faster)
        waiting.join(10)
    assert lent == [faster]


def test_steps_are_reported():
    steps = []
    estimate_alpha_closed_form(picture("stars"), ring(), on_step=lambda: steps.append(1))
    assert steps


def test_errors_of_the_solver_are_passed_on(monkeypatch):
    def fail(*arguments):
        raise ValueError("broken")

    monkeypatch.setattr(numpy_backend, "factorise", fail)
    with pytest.raises(ValueError, match=re.escape("broken")):
        estimate_alpha_closed_form(picture("stars"), ring())
