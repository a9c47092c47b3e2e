import hashlib
import json
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fer.classify import INPUT, Card, LiteRTClassifier, beside, load, sha256
from fer.errors import ModelError
from fer.labels import LABELS
from tests.conftest import ROOT

CARD = Card(
    name="small",
    labels=list(LABELS),
    input=INPUT,
    outputs=["fer2013"],
    temperature=1.0,
    parameters=1,
    data={},
    recipe={},
    metrics={},
    sha256={"tflite": hashlib.sha256(b"no network").hexdigest()},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a card lies beside weights that are none."""
    (tmp_path / "small.tflite").write_bytes(b"no network")
    CARD.save(tmp_path / "small.json")
    return tmp_path / "small.json"


def test_a_card_comes_back_as_it_was_written(path: Path):
    assert Card.load(path) == CARD


def test_a_card_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"There is no model card .*absent\.json"):
        Card.load(tmp_path / "absent.json")


def _changed(**fields: Any) -> str:
    return json.dumps({**asdict(CARD), **fields})


@pytest.mark.parametrize(
    "content, why",
    [
        pytest.param("", "cannot be read", id="empty"),
        pytest.param("{", "cannot be read", id="broken JSON"),
        pytest.param("[]", "cannot be read", id="a list"),
        pytest.param("{}", "cannot be read", id="without fields"),
        pytest.param(_changed(colour="grey"), "cannot be read", id="a field too many"),
        pytest.param("\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "cannot be read", id="no text"),
        pytest.param(_changed(labels=sorted(LABELS)), "has the labels", id="labels in another order"),
        pytest.param(_changed(labels=LABELS[:6]), "has the labels", id="six labels"),
        pytest.param(_changed(labels=None), "", id="no labels"),
        pytest.param(_changed(input={**INPUT, "range": [0, 1]}), "has the input", id="another range"),
        pytest.param(_changed(input={}), "has the input", id="no input"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_by_name(path: Path, content: str, why: str):
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError) as error:
        Card.load(path)
    assert "small.json" in str(error.value) and why in str(error.value)


def test_weights_that_the_card_does_not_vouch_for_are_not_loaded(path: Path):
    path.with_suffix(".tflite").write_bytes(b"another network")
    with pytest.raises(ModelError, match=r"small\.tflite has sha256 \w{12}…, its card says \w{12}…"):
        load(path)


@pytest.mark.parametrize("digests", [{}, {"keras": "0"}, None])
def test_a_card_that_vouches_for_no_weights_does_not_open_them(path: Path, digests: Any):
    path.write_text(_changed(sha256=digests))
    with pytest.raises(ModelError):
        load(path)


def test_weights_that_are_missing_are_named(path: Path):
    path.with_suffix(".tflite").unlink()
    with pytest.raises(ModelError, match=r"small\.tflite cannot be read"):
        load(path)


def test_weights_that_are_no_network_are_named(path: Path):
    with pytest.raises(ModelError, match=r"small\.tflite is not a LiteRT model"):
        load(path)


@pytest.mark.parametrize("ending", ["", ".json", ".tflite", ".keras"])
def test_a_model_may_be_named_with_or_without_its_ending(path: Path, ending: str):
    with pytest.raises(ModelError, match=r"small\.tflite is not a LiteRT model"):
        load(path.with_name("small" + ending))


def test_a_dot_in_a_models_name_is_not_its_ending(tmp_path: Path):
    with pytest.raises(ModelError, match=r"There is no model card .*v1\.2\.json"):
        load(tmp_path / "v1.2")


SHIPPED = ROOT / "models" / "classmood48.json"
shipped = pytest.mark.skipif(not SHIPPED.exists(), reason="the model has not been trained yet")


@pytest.fixture(scope="module")
def model() -> LiteRTClassifier:
    return load(SHIPPED)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (9, 48, 48, 1), np.uint8)


@shipped
def test_the_shipped_model_is_the_one_of_its_card(model: LiteRTClassifier):
    assert tuple(model.card.labels) == LABELS and model.card.outputs[0] == "fer2013"
    assert 0.5 <= model.card.temperature <= 4 and model.card.name == "classmood48"
    for kind in ("tflite", "keras"):
        assert sha256(SHIPPED.with_suffix(f".{kind}")) == model.card.sha256[kind]


@shipped
def test_every_head_gives_probabilities(model: LiteRTClassifier, crops: np.ndarray):
    for head in model.card.outputs:
        probs = model.probs(crops, head)
        assert (probs.shape, probs.dtype) == ((9, len(LABELS)), np.float32)
        assert (probs >= 0).all()
        np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)


@shipped
def test_a_face_alone_reads_the_same_as_among_others(model: LiteRTClassifier, crops: np.ndarray):
    np.testing.assert_array_equal(model.probs(crops), np.concatenate([model.probs(crop[None]) for crop in crops]))


@shipped
def test_no_faces_give_no_rows(model: LiteRTClassifier, crops: np.ndarray):
    assert model.probs(crops[:0]).shape == (0, len(LABELS))


@shipped
def test_threads_that_share_a_model_do_not_mix_up_their_faces(model: LiteRTClassifier, crops: np.ndarray):
    expected, got = model.probs(crops), np.zeros((9, len(LABELS)), np.float32)

    def read(i: int) -> None:
        got[i] = model.probs(crops[i : i + 1])[0]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(got, expected)


@shipped
def test_the_temperature_softens_the_head_that_the_app_shows(model: LiteRTClassifier, crops: np.ndarray):
    content = SHIPPED.with_suffix(".tflite").read_bytes()
    soft = LiteRTClassifier(content, replace(model.card, temperature=2 * model.card.temperature))
    assert (soft.probs(crops).max(1) < model.probs(crops).max(1)).all()
    np.testing.assert_array_equal(soft.probs(crops).argmax(1), model.probs(crops).argmax(1))


@shipped
def test_a_head_that_the_model_lacks_is_refused_by_name(model: LiteRTClassifier, crops: np.ndarray):
    with pytest.raises(ModelError, match=r"classmood48 has no head 'age'; it has fer2013"):
        model.probs(crops, "age")


@shipped
def test_a_card_that_names_a_head_too_many_is_refused(model: LiteRTClassifier):
    card = replace(model.card, outputs=[*model.card.outputs, "age"])
    with pytest.raises(ModelError, match=r"lacks the outputs \['age'\]"):
        LiteRTClassifier(SHIPPED.with_suffix(".tflite").read_bytes(), card)


def test_models_that_lie_side_by_side_are_named_the_one_in_use_first(tmp_path: Path):
    for name in ("b.tflite", "b.json", "v1.2.tflite", "v1.2.json", "a.tflite", "c.json", "d.keras"):
        (tmp_path / name).touch()
    for given in ("b", "b.tflite", "b.json"):
        assert [path.name for path in beside(tmp_path / given)] == ["b", "v1.2"]
    assert [path.name for path in beside(tmp_path / "v1.2")] == ["v1.2", "b"]
    assert [path.name for path in beside(tmp_path / "absent")] == ["absent", "b", "v1.2"]
