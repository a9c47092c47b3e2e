"""python -m fer: its documents, its sentences, its exit codes."""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.__main__ import main
from fer.labels import LABELS
from fer.robustness import CONDITIONS
from tests.conftest import ROOT
from tests.videos import record

MODEL = ROOT / "models" / "classmood48"


@pytest.fixture(autouse=True)
def cascade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "cascade")


@pytest.fixture
def photo(tmp_path: Path, astronaut: np.ndarray) -> Path:
    cv2.imwrite(str(tmp_path / "me.png"), astronaut)
    return tmp_path / "me.png"


@pytest.fixture
def kaggle(tmp_path: Path, face_crop: np.ndarray) -> Path:
    """A tiny data set in Kaggle's layout: one face under every label."""
    grey = cv2.resize(cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY), (48, 48))
    for label in LABELS:
        (tmp_path / "data" / "test" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "data" / "test" / label / "fer0000001.png"), grey)
    return tmp_path / "data"


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_predict_prints_one_document(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", photo, photo, "--json") == 0
    documents = json.loads(capsys.readouterr().out)
    assert [document["path"] for document in documents] == [str(photo)] * 2
    face = documents[0]["faces"][0]
    assert list(face) == ["xyxy", "score", "label", "probs"]
    assert list(face["probs"]) == list(LABELS)
    assert sum(face["probs"].values()) == pytest.approx(1, abs=1e-3)
    x1, y1, x2, y2 = face["xyxy"]
    assert x1 < 223 < x2 and y1 < 115 < y2
    assert face["label"] == "happy"


def test_a_bad_picture_among_good_ones_does_not_lose_them(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    assert run("predict", tmp_path / "bad.jpg", photo, tmp_path / "none.jpg", "--json") == 2
    captured = capsys.readouterr()
    assert [document["path"] for document in json.loads(captured.out)] == [str(photo)]
    assert "bad.jpg: This is not a picture" in captured.err and "none.jpg: No such file" in captured.err


def test_predict_in_words(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", photo, photo) == 0
    out = capsys.readouterr().out
    assert "1. happy" in out and "2 faces: " in out.splitlines()[-1] and "happy 9" in out.splitlines()[-1]


def test_predict_packs_what_it_found_as_the_page_does(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jpg").write_text("not a picture")
    assert run("predict", tmp_path / "bad.jpg", photo, "--out", tmp_path / "faces.zip", "--model", MODEL) == 2
    assert "bad.jpg: This is not a picture" in capsys.readouterr().err
    with zipfile.ZipFile(tmp_path / "faces.zip") as packed:
        assert packed.namelist() == ["faces.csv", "faces.json", "left_out.txt", "pictures/01-me.jpg"]
        assert "classmood48,happy" in packed.read("faces.csv").decode()


def test_evaluate_prints_one_document(kaggle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text(
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
        "PublicTest,fer0000001.png,0,10,0,0,0,0,0,0,0,0\n"
    )
    assert run("evaluate", "--data", kaggle, "--split", "test", "--ferplus", votes, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 7 and result["ferplus_n"] == 7
    assert result["accuracy"] == pytest.approx(1 / 7)
    assert result["recall"] == {label: float(label == "happy") for label in LABELS}
    assert np.shape(result["confusion"]) == (7, 7)
    assert {"macro_recall", "macro_f1", "ece", "ferplus_accuracy"} <= set(result)


def test_faces_prints_what_each_detector_finds(kaggle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("faces", "--data", kaggle, "--split", "test", "--json") == 0
    sizes = json.loads(capsys.readouterr().out)["cascade"]
    assert [row["side_px"] for row in sizes] == [96, 64, 48, 32]
    assert all(row["n"] == 7 for row in sizes)
    assert run("faces", "--data", kaggle, "--split", "test") == 0
    assert "cascade" in capsys.readouterr().out


def test_evaluate_in_words(kaggle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--data", kaggle) == 0
    assert "accuracy          14.29%" in capsys.readouterr().out


@pytest.fixture
def archive(tmp_path: Path, face_crop: np.ndarray) -> Path:
    """A tiny zip in Kaggle's layout: of the test split, two faces of four are in the training split as well."""
    grey = cv2.resize(cv2.cvtColor(face_crop, cv2.COLOR_BGR2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(8).integers(0, 256, (4, 48, 48)).astype(np.uint8)
    faces = {
        "train/happy/fer0000001.png": grey,
        "train/sad/fer0000002.png": noise[0],
        "train/neutral/fer0000003.png": noise[1],
        "test/happy/fer0000004.png": grey,
        "test/neutral/fer0000005.png": grey[:, ::-1],
        "test/happy/fer0000006.png": grey[::-1],
        "test/sad/fer0000007.png": noise[2],
    }
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as written:
        for name, image in faces.items():
            written.writestr(name, cv2.imencode(".png", image)[1].tobytes())
    return tmp_path / "faces.zip"


def test_audit_prints_one_document(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--data", archive, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    counts = {key: result[key] for key in ("n", "twins", "exact", "mirrored", "relabelled")}
    assert counts == {"n": 4, "twins": 2, "exact": 1, "mirrored": 1, "relabelled": 1}
    assert set(result) == {*counts, "accuracy", "without_twins", "interval"}
    low, high = result["interval"]
    assert 0 <= low <= result["without_twins"] <= high <= 1


def test_audit_in_words(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--data", archive, "--split", "test") == 0
    out = capsys.readouterr().out
    assert "2 of 4 images (50.0%) of test are in train as well:" in out
    assert "1 pixel by pixel, 1 mirrored, 1 under another label." in out
    assert "on the 2 without a twin" in out and out.startswith("2 of 4") and "classmood48: accuracy" in out


def test_a_split_is_all_its_own_twin(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--data", archive, "--split", "train", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n"], result["twins"], result["exact"], result["interval"]) == (3, 3, 3, [0.0, 1.0])


def test_evaluate_under_conditions_prints_one_document_and_writes_a_folder(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert run("evaluate", "--data", archive, "--conditions", "--out", out, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 4 and list(result["precision"]) == list(LABELS)
    assert sum(n for _, _, n in result["reliability"]) == 4
    assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    names = [row["name"] for row in result["conditions"]]
    assert names == ["as they are", *CONDITIONS]
    assert all(set(row) == {"name", "accuracy", "drop", "with_baseline"} for row in result["conditions"])
    assert result["conditions"][0]["accuracy"] == result["accuracy"]
    assert sorted(path.name for path in out.iterdir()) == ["benchmark.html", "confusion.csv"]


def test_what_evaluate_writes_is_what_it_prints(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "confusion.csv").write_text("old")
    assert run("evaluate", "--data", archive, "--out", tmp_path / "out", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    table = list(csv.DictReader((tmp_path / "out" / "confusion.csv").open()))
    assert [row["label"] for row in table] == list(LABELS)
    assert [[int(row[label]) for label in LABELS] for row in table] == result["confusion"]
    page = (tmp_path / "out" / "benchmark.html").read_text(encoding="utf-8")
    assert f"{result['accuracy']:.1%}" in page and "classmood48" in page and "On a webcam" not in page
    assert page.count("<figure>") == round(4 * (1 - result["accuracy"])) > 0


def test_without_being_asked_evaluate_measures_no_conditions_and_writes_nothing(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", "--data", archive, "--json") == 0
    assert "conditions" not in json.loads(capsys.readouterr().out)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.zip"]


def test_evaluate_under_conditions_in_words(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--data", archive, "--conditions", "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    rows = {name: line for line in out.splitlines() for name in CONDITIONS if line.strip().startswith(name + " ")}
    assert list(rows) == list(CONDITIONS) and all(line.count("%") == 3 for line in rows.values())
    assert "95% confidence" in out and "with a neutral baseline" in out
    assert f"Written: {tmp_path / 'out' / 'confusion.csv'}" in out


def test_a_split_that_there_is_not_cannot_be_audited(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, culprit in (("best", "no split 'best'"), ("private", "no image for the split 'private'")):
        assert run("audit", "--data", archive, "--split", split) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.count("\n") == 1 and culprit in captured.err


def test_a_folder_that_cannot_be_made_is_named(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    assert run("evaluate", "--data", archive, "--out", tmp_path / "taken", "--json") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith(f"fer: {tmp_path / 'taken'}: ")


@pytest.mark.training
@pytest.mark.filterwarnings("default")
def test_a_model_that_there_is_not_cannot_be_compared(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare", "majority", "oracle", "--data", archive, "--out", tmp_path / "table.csv") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and not (tmp_path / "table.csv").exists()
    assert captured.err.splitlines()[-1].startswith("fer: There is no model 'oracle' to compare; there are ")


def test_analyze_writes_the_timeline_the_faces_and_a_report_that_needs_no_network(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    video = record(tmp_path / "class.mp4", [astronaut] * 130, fps=10)
    assert run("analyze", video, "--out", tmp_path / "out", "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert "100%" in captured.err
    assert result["analysed"] == 26 and result["with_faces"] == 26 and result["slots"] == 3
    assert max(result["probs"], key=result["probs"].get) == "happy"
    timeline = list(csv.DictReader((tmp_path / "out" / "timeline.csv").open()))
    assert [row["start_s"] for row in timeline] == ["0.0", "5.0", "10.0"]
    assert all(row["n_faces"] == "1" for row in timeline)
    faces = list(csv.DictReader((tmp_path / "out" / "faces.csv").open()))
    assert len(faces) == 26 and {row["face_id"] for row in faces} == {"0"}
    report = (tmp_path / "out" / "report.html").read_text()
    assert "vegaEmbed" in report and 'src="http' not in report and "class.mp4" in report


def test_a_video_without_a_face_has_a_report_that_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = record(tmp_path / "wall.mp4", [np.full((240, 320, 3), 128, np.uint8)] * 10, fps=10)
    assert run("analyze", video, "--out", tmp_path / "out", "--json") == 0
    assert json.loads(capsys.readouterr().out)["probs"] is None
    assert "no moment with enough faces" in (tmp_path / "out" / "report.html").read_text()


def test_bench_prints_medians(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "classify", "import", "--repeats", 3, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["classify_1", "classify_8", "import_fer"]
    assert all(set(figures) == {"median_ms", "p95_ms", "n"} for figures in result.values())


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (("predict", "{tmp}/missing.jpg"), "missing.jpg"),
        (("predict", "{tmp}"), "{tmp}"),
        (("predict", "{tmp}/text.jpg"), "text.jpg: This is not a picture"),
        (("predict", "{tmp}/empty.jpg"), "empty.jpg: The file is empty"),
        (("analyze", "{tmp}/missing.mp4", "--out", "{tmp}/o"), "missing.mp4"),
        (("analyze", "{tmp}/text.jpg", "--out", "{tmp}/o"), "text.jpg"),
        (("analyze", "{tmp}/empty.jpg", "--out", "{tmp}/o"), "empty.jpg"),
        (("evaluate", "--data", "{tmp}/missing.zip"), "missing.zip"),
        (("evaluate", "--data", "{tmp}"), "no image for the split 'test'"),
        (("evaluate", "--data", "{tmp}", "--split", "best"), "'best'"),
        (("evaluate", "--data", "{tmp}/text.jpg"), "no column"),
        (("evaluate", "--data", "{tmp}", "--model", "{tmp}/none"), "none.json"),
        (("evaluate", "--data", "{tmp}/missing.zip", "--conditions", "--out", "{tmp}/o"), "missing.zip"),
        (("audit", "--data", "{tmp}/missing.zip"), "missing.zip"),
        (("audit", "--data", "{tmp}"), "no image for the split 'train'"),
        (("audit", "--data", "{tmp}/text.jpg"), "no column"),
        (("audit", "--data", "{tmp}", "--model", "{tmp}/none"), "none.json"),
        (("bench", "everything"), "'everything'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    words: tuple[str, ...], culprit: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    assert run(*(word.format(tmp=tmp_path) for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("fer: ") and captured.err.count("\n") == 1
    assert culprit.format(tmp=tmp_path) in captured.err
    assert not list(tmp_path.glob("o/*"))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dance",),
        ("train",),
        ("train", "--data", "x", "--out", "y", "--epochs", "0"),
        ("audit",),
        ("compare", "ours"),
    ],
)
def test_wrong_words_exit_with_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--keep", "1.5"), ("--keep", "half"), ("--max-lr", "0")])
def test_a_number_out_of_its_range_is_told_the_range(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("train", "--data", "x", "--out", "y", option, value)
    wanted = {"--keep": "from 0 to 1", "--max-lr": "above 0 and at most 1"}[option]
    assert f"{wanted}, not {value!r}" in capsys.readouterr().err


def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FER_CONFIDENCE_FLOOR", "high")
    assert run("bench", "import") == 2
    assert "FER_CONFIDENCE_FLOOR" in capsys.readouterr().err


def test_reading_does_not_load_tensorflow(photo: Path) -> None:
    program = f"""
import sys
from fer.__main__ import main
sys.exit(main(["predict", {str(photo)!r}]) or not {{"tensorflow", "keras"}}.isdisjoint(sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False).returncode == 0
