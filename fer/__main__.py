"""python -m fer COMMAND: read, train, evaluate and measure; `--help` lists the commands."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer.config import YUNET_FILE, Settings
from fer.errors import FerError
from fer.labels import LABELS

TAUGHT = "a model whose readings are half of every target; given several times, the average of their readings"


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0, or 2 after a sentence on stderr."""
    args = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace, Settings], None] = args.run
        run(args, Settings.from_env(os.environ))
    except FerError as error:
        print(f"fer: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush at exit
        return 2
    except OSError as error:
        print(f"fer: {error.filename or 'the system'}: {error.strerror or error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fer: stopped.", file=sys.stderr)
        return 130
    return 0


def _predict(args: argparse.Namespace, settings: Settings) -> None:
    from fer import album, classify, detect

    detector, classifier = detect.choose(settings).create(settings), classify.load(args.model or settings.model)
    photos: list[album.Photo] = []
    failures: list[str] = []
    for path in args.image:
        try:
            photo = album.read(str(path), path.read_bytes(), detector, classifier, settings.confidence_floor)
        except (FerError, OSError) as error:
            failures.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        photos.append(photo)
        if not args.json:
            _print_faces(photo)
    if args.out and photos:
        args.out.write_bytes(album.archive({classifier.card.name: photos}, failures))
    if args.json and photos:
        _print_json(album.documents(photos))
    elif (n_faces := sum(len(photo.readings) for photo in photos)) > 1:
        shares = album.mean_probs(photos)
        named = [*zip(LABELS, shares.tolist(), strict=True), ("uncertain", 1 - float(shares.sum()))]
        print(f"{n_faces} faces: " + "  ".join(f"{label} {share:.0%}" for label, share in named if share >= 0.005))
    if failures:  # after what could be read: one bad picture does not lose the others
        raise FerError("\nfer: ".join(failures))


def _print_faces(photo: Any) -> None:
    print(f"{photo.name}: {len(photo.readings)} face{'' if len(photo.readings) == 1 else 's'}")
    for number, reading in enumerate(photo.readings, 1):
        top = sorted(zip(LABELS, reading.probs.tolist(), strict=True), key=lambda item: -item[1])[:3]
        print(f"  {number}. {reading.label:9} " + "  ".join(f"{label} {p:.0%}" for label, p in top))


def _analyze(args: argparse.Namespace, settings: Settings) -> None:
    from fer import classify, detect, report, video
    from fer.aggregate import overall
    from fer.pipeline import Options, Pipeline

    if not args.video.is_file():
        raise FerError(f"There is no file {args.video}.")
    detector, classifier = detect.choose(settings).create(settings), classify.load(settings.model)
    pipeline = Pipeline(detector, classifier, Options.of(settings, classifier.card))
    progress = _Progress()
    try:
        result = video.analyse(args.video, args.out, pipeline, 1 / settings.analyses_per_s, progress)
    finally:
        progress.end()
    page = args.out / "report.html"
    page.write_text(report.html(report.Lesson(args.video.name, 0.0, result.duration_s, result.slots)), encoding="utf-8")
    mean = overall(result.slots).tolist() if result.slots else None
    if args.json:
        _print_json(
            {
                "path": str(args.video),
                "duration_s": round(result.duration_s, 3),
                "analysed": result.analysed,
                "with_faces": result.with_faces,
                "damaged": result.damaged,
                "slots": len(result.slots),
                "probs": dict(zip(LABELS, (round(p, 4) for p in mean), strict=True)) if mean else None,
                "files": [str(file) for file in (result.timeline, result.faces, page)],
            }
        )
        return
    print(f"{result.analysed} pictures analysed, {result.with_faces} with a face, {result.damaged} damaged.")
    print(f"Written: {result.timeline}, {result.faces}, {page}")


class _Progress:
    """A progress bar on stderr, drawn anew at each whole per cent."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done_s: float, total_s: float) -> None:
        percent = min(100, int(100 * done_s / total_s)) if total_s else int(done_s / 60)
        if percent == self._shown:
            return
        self._shown = percent
        bar = f"[{'█' * (percent // 4):<25}] {percent:3d}%" if total_s else f"{percent} minutes"
        print(f"\r{bar}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line of the bar, if there is one."""
        if self._shown >= 0:
            print(file=sys.stderr)


def _train(args: argparse.Namespace, settings: Settings) -> None:
    training = _training()
    from fer import dataset

    data, held = dataset.load(args.data, "train"), dataset.load(args.data, "test")
    votes = dataset.load_votes(args.ferplus) if args.ferplus else {}
    _say_skipped(data.skipped + held.skipped)
    print(f"{len(data)} training and {len(held)} validation images.")
    teachers = args.teacher
    for generation in range(1, args.generations + 1):
        last = generation == args.generations
        out = args.out if last else args.out.with_name(f"{args.out.name}.generation{generation}")
        recipe = training.Recipe(
            epochs=args.epochs,
            batch_size=args.batch_size,
            width=args.width,
            max_lr=args.max_lr,
            seed=args.seed,
            precision=args.precision,
            teachers=tuple(map(str, teachers)),
            start=str(args.start or ""),
            keep=args.keep if args.start else 0.0,
        )
        if last or not out.with_suffix(out.suffix + ".json").exists():
            card = training.train(data, held, votes, recipe, out, args.data.name)
            accuracy, recall = card.metrics["accuracy"], card.metrics["macro_recall"]
            print(f"{out}.tflite: accuracy {accuracy:.2%}, macro recall {recall:.2%}")
        teachers = [out.with_suffix(out.suffix + ".keras")]


def _training() -> Any:
    """The training module, with TensorFlow's chatter off."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fer import training

    return training


def _train_detector(args: argparse.Namespace, settings: Settings) -> None:
    _training()
    from fer import classify, dataset, tiny_training

    folders = args.backgrounds or [folder for folder in tiny_training.FOLDERS if folder.is_dir()]
    if not folders:
        raise FerError("There are no backgrounds: name folders of pictures without faces with --backgrounds.")
    data, held = dataset.load(args.data, "train"), dataset.load(args.data, "test")
    _say_skipped(data.skipped + held.skipped)
    around = tiny_training.surroundings(folders, settings.yunet_model)
    print(f"{len(data)} faces; {len(around.photographs)} pictures to stand before, {len(around.stamps)} things beside.")
    recipe = tiny_training.Recipe(
        rounds=args.rounds,
        steps=args.steps,
        batch_size=args.batch_size,
        max_lr=args.max_lr,
        seed=args.seed,
        precision=args.precision,
        start=str(args.start or ""),
    )
    card = tiny_training.train(
        data, held, around, recipe, args.out, settings.yunet_model, classify.load(settings.model)
    )
    found = ", ".join(f"{one['found']:.1%} of {one['side_px']} px" for one in card.metrics["found"])
    print(f"{args.out}.tflite: floor {card.floor}, finds {found}")


def _compare(args: argparse.Namespace, settings: Settings) -> None:
    training = _training()
    from fer import classify, dataset, zoo

    if unknown := set(args.models) - set(zoo.ZOO):
        raise FerError(f"There is no model {sorted(unknown)[0]!r} to compare; there are {', '.join(zoo.ZOO)}.")
    train, test = dataset.load(args.data, "train"), dataset.load(args.data, "test")
    _say_skipped(train.skipped + test.skipped)
    if args.quick:
        train, test = dataset.draw(train, 2000), dataset.draw(test, 500)
    recipe = training.Recipe(epochs=args.epochs)
    if args.quick:  # so few steps that an average over the last thousand would still be what they began with
        recipe = training.Recipe(epochs=6, batch_size=32, width=32, max_lr=0.03, ema_momentum=0.95)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"{len(train)} training and {len(test)} test images, {recipe.epochs} epochs.")
    entries = []
    for name in args.models or zoo.ZOO:
        print(f"\n{name}", flush=True)
        entries.append(zoo.compare(name, train, test, recipe, args.imagenet))
    entries.append(zoo.shipped(classify.load(settings.model), test))
    columns = ("", "accuracy", "95% interval", "macro F1", "parameters", "ms/face", "training")
    print("\n{:22}{:>9}{:>15}{:>10}{:>12}{:>9}{:>10}".format(*columns))
    for entry in entries:
        _print_entry(entry)
    rows = [asdict(entry) for entry in entries]
    with args.out.with_suffix(".csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    print(f"Written: {args.out.with_suffix('.csv')}")


def _print_entry(entry: Any) -> None:
    parameters = f"{entry.parameters / 1e6:.2f} M" if entry.parameters else "–"
    print(
        f"{entry.name:22}{entry.accuracy:>9.1%}{f'{entry.low:.1%}–{entry.high:.1%}':>15}{entry.macro_f1:>10.1%}"
        f"{parameters:>12}{entry.ms_per_face:>9.2f}{entry.train_s:>8.0f} s",
        flush=True,
    )


def _audit(args: argparse.Namespace, settings: Settings) -> None:
    from fer import classify, dataset, evaluation

    classifier = classify.load(args.model or settings.model)
    train, test = dataset.load(args.data, "train"), dataset.load(args.data, args.split)
    _say_skipped(train.skipped + test.skipped)
    found = evaluation.audit(classifier, test, train)
    if args.json:
        _print_json(asdict(found))
        return
    print(f"{found.twins} of {found.n} images ({found.twins / found.n:.1%}) of {args.split} are in train as well:")
    print(f"{found.exact} pixel by pixel, {found.mirrored} mirrored, {found.relabelled} under another label.")
    print(
        f"{classifier.card.name}: accuracy {found.accuracy:.2%} on all, {found.without_twins:.2%} "
        f"({found.interval[0]:.1%}–{found.interval[1]:.1%}) on the {found.n - found.twins} without a twin."
    )


def _evaluate(args: argparse.Namespace, settings: Settings) -> None:
    from fer import classify, dataset, evaluation

    classifier = classify.load(args.model or settings.model)
    data = dataset.load(args.data, args.split)
    votes = dataset.load_votes(args.ferplus) if args.ferplus else None
    _say_skipped(data.skipped)
    result = evaluation.evaluate(classifier, data, votes, tuple(classifier.card.outputs))
    conditions = evaluation.conditions(classifier, data) if args.conditions else []
    if args.out:
        _write_evaluation(args.out, classifier, data, result, conditions)
    if args.json:
        document = {key: value for key, value in asdict(result).items() if value is not None}
        _print_json({**document, "conditions": [asdict(row) for row in conditions]} if conditions else document)
        return
    print(f"{classifier.card.name} on {result.n} images of {args.data} ({args.split})")
    low, high = result.interval
    print(f"  {'accuracy':17} {result.accuracy:.2%}  (95% confidence: {low:.1%}–{high:.1%})")
    for name in ("macro_recall", "macro_f1", "ece", "ferplus_accuracy"):
        if (value := getattr(result, name)) is not None:
            print(f"  {name:17} {value:.2%}")
    print("\nrows: label, columns: reading" + " " * 4 + "recall precision" + "".join(f"{x:>9}" for x in LABELS))
    for label, row in zip(LABELS, result.confusion, strict=True):
        figures = f"{result.recall[label]:>10.1%}{result.precision[label]:>10.1%}"
        print(f"  {label:27}{figures}" + "".join(f"{n:>9}" for n in row))
    if conditions:
        print(f"\n{'under a condition':22}{'accuracy':>10}{'drop':>9}{'with a neutral baseline':>26}")
    for found in conditions:
        print(f"  {found.name:20}{found.accuracy:>10.1%}{found.drop:>+9.1%}{found.with_baseline:>26.1%}")
    if args.out:
        print(f"Written: {args.out / 'confusion.csv'}, {args.out / 'benchmark.html'}")


def _write_evaluation(out: Path, classifier: Any, data: Any, result: Any, conditions: list[Any]) -> None:
    """Write confusion.csv and benchmark.html, with the pictures of the surest mistakes, into the folder `out`."""
    from fer import evaluation, report

    out.mkdir(parents=True, exist_ok=True)
    with (out / "confusion.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["label", *LABELS])
        table.writerows([label, *row] for label, row in zip(LABELS, result.confusion, strict=True))
    wrong = [(mistake, data.images[mistake.row]) for mistake in evaluation.mistakes(classifier, data)]
    page = report.benchmark(classifier.card, result, conditions, wrong)
    (out / "benchmark.html").write_text(page, encoding="utf-8")


def _faces(args: argparse.Namespace, settings: Settings) -> None:
    from fer import classify, dataset, detect, evaluation

    classifier, data = classify.load(settings.model), dataset.load(args.data, args.split)
    results: dict[str, list[dict[str, Any]]] = {}
    for name, make in detect.DETECTORS.items():
        try:
            detector = make(settings)
        except FerError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        found = [asdict(evaluation.finding(detector, classifier, data, px)) for px in (96, 64, 48, 32)]
        results[name] = [{key: round(value, 4) for key, value in row.items()} for row in found]
    if args.json:
        _print_json(results)
        return
    print(f"{'':9}{'face':>7}{'found':>8}{'scale':>7}{'dy':>7}{'direct':>9}{'through':>9}")
    for name, rows in results.items():
        for row in rows:
            print(
                f"{name:9}{row['side_px']:>4} px{row['found']:>8.1%}{row['scale']:>7.2f}{row['dy']:>+7.2f}"
                f"{row['direct']:>9.1%}{row['through']:>9.1%}"
            )


def _dataset_faces(args: argparse.Namespace, settings: Settings) -> None:
    from fer import collect, detect

    detector = detect.choose(settings).create(settings)
    progress = _Progress()
    try:
        found = collect.collect(args.folder, args.out, detector, progress)
    finally:
        progress.end()
    counts = collect.counts(found)
    print("".ljust(12) + "".join(f"{label:>10}" for label in LABELS))
    for split in ("train", "test"):
        print(f"{split:12}" + "".join(f"{counts[split][label]:>10}" for label in LABELS))
    print(f"{counts[collect.UNLABELLED].total()} without a label, set aside in {args.out / collect.UNLABELLED}")
    print(f"{len(found.left_out)} left out, {args.out / 'left_out.csv'} says why")
    for split in ("train", "test"):
        if not counts[split]:
            print(f"There is no labelled face for {split}: training needs more pictures.", file=sys.stderr)


def _bench(args: argparse.Namespace, settings: Settings) -> None:
    from fer import bench

    if "live" in args.names:
        return _bench_live(args, settings)
    if "faces" in args.names:
        return _bench_faces(args, settings)
    results = bench.run(args.names, settings, args.repeats, args.minutes or 10, args.data)
    if args.json:
        _print_json(results)
        return
    print(f"{'':24}{'median':>10}{'p95':>10}{'n':>7}")
    for name, figures in results.items():
        if "median_points" in figures:
            _print_keepers(name, figures)
            continue
        key = next(key for key in figures if key.startswith("median_"))
        unit = {"median_ms": "ms", "median_mb": "MB", "median_per_s": "/s", "median_nodes": "  "}[key]
        values = [figures.get(kind) for kind in (key, key.replace("median", "p95"))]
        print(f"{name:24}" + "".join(f"{v:>7.2f} {unit}" for v in values if v is not None) + f"{figures['n']:>7}")


def _bench_live(args: argparse.Namespace, settings: Settings) -> None:
    from fer import bench

    if args.names != ["live"]:
        raise FerError("`bench live` runs alone: the other benches would share the processor with it.")
    loads = []
    for load in bench.live(settings, args.students, 60 * args.minutes, args.codec, args.fps, args.kbps):
        loads.append(asdict(load))
        if not args.json:
            _print_load(load)
    if args.json:
        _print_json(loads)


def _bench_faces(args: argparse.Namespace, settings: Settings) -> None:
    from fer import contest

    if args.names != ["faces"]:
        raise FerError("`bench faces` runs alone: it has a table of its own.")
    if args.data is None:
        raise FerError("This bench needs faces: name FER2013 with --data.")
    names = [name for name in (args.detectors or "").split(",") if name]
    course = contest.course(settings, args.data, args.split, args.photos)
    found = []
    for result in contest.run(settings, course, names, args.repeats):
        if result.reason:
            print(f"left out: {result.reason}", file=sys.stderr)
        else:
            found.append(result)
    files = _write_found(args.out, found) if args.out else []
    if args.json:
        _print_json({one.name: [asdict(figure) for figure in one.figures] for one in found})
        return
    _print_found(found)
    if files:
        print(f"Written: {', '.join(map(str, files))}")


def _print_found(found: list[Any]) -> None:
    """A row per figure, a column per detector."""
    if not found:
        raise FerError("No detector can be made.")
    print(f"{'':38}" + "".join(f"{one.name:>12}" for one in found) + f"{'of':>8}")
    group = ""
    for key, row in _rows(found):
        if key[0] != group:
            group = key[0]
            print(group)
        figures = next(figure for figure in row if figure)
        print(f"  {key[1]:36}" + "".join(f"{_shown(figure):>12}" for figure in row) + f"{figures.n:>8}")


def _rows(found: list[Any]) -> Iterable[tuple[tuple[str, str], list[Any]]]:
    """The figures of every detector by (group, name), None where one has none."""
    of = [{(figure.group, figure.name): figure for figure in one.figures} for one in found]
    for key in dict.fromkeys(key for figures in of for key in figures):
        yield key, [figures.get(key) for figures in of]


def _shown(figure: Any) -> str:
    if figure is None:
        return ""
    return {"share": f"{figure.value:.1%}", "ms": f"{figure.value:.2f} ms"}.get(figure.unit, f"{figure.value:.1f} ‰")


def _write_found(out: Path, found: list[Any]) -> list[Path]:
    """Write faces.csv and, of each detector, a picture of what it found, missed and made up."""
    from fer import coverage, draw

    out.mkdir(parents=True, exist_ok=True)
    with (out / "faces.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["detector", "group", "name", "value", "unit", "n"])
        table.writerows([one.name, *asdict(figure).values()] for one in found for figure in one.figures)
    pictures = [out / f"{one.name}.png" for one in found]
    for one, picture in zip(found, pictures, strict=True):
        picture.write_bytes(draw.png(coverage.sheet(one.examples)))
    return [out / "faces.csv", *pictures]


def _print_load(load: Any) -> None:
    print(f"{load.students} students, {load.seconds:.0f} s, {load.frames_per_s:.1f} pictures per second and student")
    print(
        f"  analyses per second and student {load.analyses_per_s:.2f}, the fewest {load.least_analyses_per_s:.2f}; "
        f"{load.late} late; the rate at the end {load.rate_per_s:.2f}"
    )
    for name, values, unit in (
        ("frame to store", load.latency_s, "s"),
        ("event loop late", load.stall_ms, "ms"),
        ("the peers' late", load.peer_stall_ms, "ms"),
    ):
        print(f"  {name:16} p50 {values[0]:.2f}  p95 {values[1]:.2f}  p99 {values[2]:.2f} {unit}")
    parts = ", ".join(f"{name} {ms:.2f}" for name, ms in load.cpu_ms.items() if name != "all")
    print(f"  processor, ms per student and second: {load.cpu_ms['all']:.2f} ({parts}); peers {load.peer_cpu_ms:.2f}")
    print(f"  processor, ms per analysis: {load.cpu_ms_per_analysis:.2f}")
    thirds = load.rss_mb[len(load.rss_mb) // 3], load.rss_mb[-1]
    print(f"  memory {thirds[0]:.0f} MB after a third, {thirds[1]:.0f} MB at the end; {load.queries} queries")
    print(f"  lost connections {load.lost}, errors {load.errors}", flush=True)


def _print_keepers(name: str, figures: dict[str, float]) -> None:
    points = ", ".join(f"{kind} {figures[f'{kind}_points']:+.1f}" for kind in ("mean", "median", "worst"))
    print(
        f"{name:28}{figures['general_percent']:>6.1f}% → {figures['own_percent']:.1f}%   {points} points; "
        f"in use by {figures['in_use_percent']:.0f}% of {figures['n']} after {figures['entries']} entries"
    )


def _fetch(args: argparse.Namespace, settings: Settings) -> None:
    from fer import detect

    if YUNET_FILE.is_file():
        return
    detect.fetch_yunet(YUNET_FILE)
    print("YuNet's face detector was fetched.")


def _say_skipped(skipped: Iterable[str]) -> None:
    lines = list(skipped)
    for line in lines[:20]:
        print(f"left out: {line}", file=sys.stderr)
    if lines:
        print(f"{len(lines)} entries were left out.", file=sys.stderr)


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=1)
    print()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fer", description="Facial expressions: read, train, evaluate.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    predict = commands.add_parser("predict", help="read every face of pictures")
    predict.add_argument("image", nargs="+", type=Path)
    predict.add_argument("--out", type=Path, metavar="ZIP", help="also a ZIP of faces.csv and the annotated pictures")
    predict.add_argument("--model", type=Path, help="another model than FER_MODEL")
    predict.set_defaults(run=_predict)

    analyze = commands.add_parser("analyze", help="the timeline of a recorded class")
    analyze.add_argument("video", type=Path)
    analyze.add_argument("--out", type=Path, required=True, help="the folder for timeline.csv, faces.csv, report.html")
    analyze.set_defaults(run=_analyze)

    train = commands.add_parser("train", help="train a model on FER2013")
    train.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    train.add_argument("--ferplus", type=Path, help="FER+ votes (fer2013new.csv), for a second head")
    train.add_argument("--out", type=Path, required=True, help="models/NAME, without an ending")
    train.add_argument("--epochs", type=_positive, default=80)
    train.add_argument("--width", type=_positive, default=64, help="channels of the first block; the last has 4 times")
    train.add_argument("--teacher", type=Path, action="append", default=[], metavar="KERAS", help=TAUGHT)
    train.add_argument("--start", type=Path, metavar="KERAS", help="tune this .keras model further, of the same width")
    train.add_argument("--keep", type=_part, default=0.5, help="the share of --start's weights in the result, 0 to 1")
    train.add_argument("--max-lr", type=_rate, default=0.1, help="the highest learning rate of the cycle")
    train.add_argument("--generations", type=_positive, default=1, help="train so many, each taught by the one before")
    train.add_argument("--batch-size", type=_positive, default=128)
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    train.set_defaults(run=_train)

    detector = commands.add_parser("train-detector", help="train our own face detector, on FER2013")
    detector.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    detector.add_argument(
        "--backgrounds", type=Path, nargs="+", metavar="DIR", help="face-free pictures; default Debian's"
    )
    detector.add_argument("--out", type=Path, required=True, help="models/detectors/NAME, without an ending")
    detector.add_argument("--rounds", type=_positive, default=8, help="after each, mistakes are added to the lessons")
    detector.add_argument("--steps", type=_positive, default=2500, help="batches in a round")
    detector.add_argument("--batch-size", type=_positive, default=32)
    detector.add_argument("--max-lr", type=_rate, default=3e-3, help="the highest learning rate of the cycle")
    detector.add_argument("--start", type=Path, metavar="KERAS", help="begin with the weights of this detector")
    detector.add_argument("--seed", type=int, default=1)
    detector.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    detector.set_defaults(run=_train_detector)

    evaluate = commands.add_parser("evaluate", help="the figures of a model on labelled faces")
    evaluate.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    evaluate.add_argument("--split", default="test", help="train, test (PublicTest) or private (PrivateTest)")
    evaluate.add_argument("--ferplus", type=Path, help="FER+ votes (fer2013new.csv)")
    evaluate.add_argument("--model", type=Path, help="another model than FER_MODEL")
    evaluate.add_argument("--conditions", action="store_true", help="also under low light, blur, noise, a mask…")
    evaluate.add_argument("--out", type=Path, help="a folder for confusion.csv and benchmark.html")
    evaluate.set_defaults(run=_evaluate)

    audit = commands.add_parser("audit", help="which test images are in the training split as well")
    audit.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    audit.add_argument("--split", default="test", help="test (PublicTest) or private (PrivateTest)")
    audit.add_argument("--model", type=Path, help="another model than FER_MODEL")
    audit.set_defaults(run=_audit)

    compare = commands.add_parser("compare", help="train a baseline, classics and ours on the same split; a table")
    compare.add_argument("models", nargs="*", metavar="NAME", help="which to train; default all")
    compare.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    compare.add_argument("--out", type=Path, default=Path("compare.csv"), help="the table as CSV")
    compare.add_argument("--epochs", type=_positive, default=20)
    compare.add_argument("--quick", action="store_true", help="2,000 images, 6 epochs, half the width: minutes")
    compare.add_argument("--imagenet", type=Path, help="ResNet-50's ImageNet weights without its top, as a file")
    compare.set_defaults(run=_compare)

    faces = commands.add_parser("faces", help="how many faces each detector finds, and how well its crops fit")
    faces.add_argument("--data", type=Path, required=True, help="the zip, an unpacked Kaggle folder, or fer2013.csv")
    faces.add_argument("--split", default="train", help="train, test (PublicTest) or private (PrivateTest)")
    faces.set_defaults(run=_faces)

    dataset = commands.add_parser("dataset", help="make a data set of one's own")
    made = dataset.add_subparsers(title="data sets", required=True, metavar="KIND")
    cut_out = made.add_parser("faces", help="find the faces in a folder of photos, in folders named as labels")
    cut_out.add_argument(
        "folder", type=Path, metavar="DIR", help="photos; those in no folder named as a label are set aside"
    )
    cut_out.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the data set, as train and evaluate take it"
    )
    cut_out.set_defaults(run=_dataset_faces)

    bench = commands.add_parser("bench", help="speed and memory on this machine, one thread")
    bench.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="which to run; default all that print milliseconds; live and faces by themselves",
    )
    bench.add_argument("--data", type=Path, help="FER2013, for the benches journal and faces")
    bench.add_argument("--split", default="test", help="faces: train, test (PublicTest) or private (PrivateTest)")
    bench.add_argument("--detectors", metavar="NAME,NAME", help="faces: which; default all that can be made")
    bench.add_argument("--photos", type=Path, metavar="DIR", help="faces: photographs, in DIR/people and DIR/empty")
    bench.add_argument("--out", type=Path, metavar="DIR", help="faces: a folder for faces.csv and a picture of each")
    bench.add_argument("--repeats", type=_positive, default=200)
    bench.add_argument("--students", type=_positive, nargs="+", default=[50], help="live: how many, one after another")
    bench.add_argument(
        "--minutes",
        type=_minutes,
        help="live: how long each number is measured (1); growth and fuzz: how long in all (10)",
    )
    bench.add_argument("--codec", choices=("vp8", "h264"), default="vp8", help="live: what the students' browsers send")
    bench.add_argument("--fps", type=_positive, help="live: pictures per second; default FER_CAMERA_FPS")
    bench.add_argument("--kbps", type=_positive, help="live: kbit/s of each; default what browsers are asked for")
    bench.set_defaults(run=_bench)

    for command in (predict, analyze, evaluate, audit, faces, bench):
        command.add_argument("--json", action="store_true", help="print one JSON document on stdout")

    fetch = commands.add_parser("fetch", help="fetch the YuNet face detector into .cache (./setup.sh does it)")
    fetch.set_defaults(run=_fetch)
    return parser


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not {text!r}")
    return value


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 24 * 60:
        raise argparse.ArgumentTypeError(f"expected a number of minutes, not {text!r}")
    return value


def _part(text: str) -> float:
    if (value := _number(text)) is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, not {text!r}")
    return value


def _rate(text: str) -> float:
    if (value := _number(text)) is None or not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and at most 1, not {text!r}")
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


if __name__ == "__main__":
    sys.exit(main())
