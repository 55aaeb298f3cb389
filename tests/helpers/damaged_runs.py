"""A run's files, damaged in every way that its readers meet: the second half of a table of bad inputs."""

from __future__ import annotations

from collections.abc import Iterator

from tests.helpers.damage import (
    Damage,
    archive,
    claiming,
    cut,
    directory,
    fifo,
    flipped,
    keys,
    link,
    noise,
    put,
    text,
    without,
)  # fmt: skip

_NET = "checkpoints/best.keras"
LINES = {
    "evaluate": "evaluate run=base bootstrap=0",
    "export": "export run=base folder=x",
    "publish": "publish run=base folder=x",
    "compare": "compare runs=base",
    "live": "live run=base source=clip.avi display=none",
    "keras": "live run=base source=clip.avi display=none engine=keras",
    "train": "train resume=base trainer.epochs=4",
}
DEEP = '{"a":' * 400 + "1" + "}" * 400


def damages() -> Iterator[tuple[str, Damage, str]]:
    """Commands, damage to the run's folder, and what the message says."""
    record: tuple[Damage, ...] = (
        put("run.json", "null"), put("run.json", '"done"'), put("run.json", "\ufeff{}"), put("run.json", DEEP),
        noise("run.json", 900), directory("run.json"), link("run.json", "run.json"), fifo("run.json"),
        keys("run.json", status="finished"), keys("run.json", status=True), keys("run.json", epoch=1.5),
        keys("run.json", scores={"test": {"accuracy": "1"}}), keys("run.json", scores={"test": [0.5]}),
        keys("run.json", data=["x"]), keys("run.json", tflite=[1]), keys("run.json", created=7),
        keys("run.json", parameters="many"), keys("run.json", efficiency=3), keys("run.json", format=2.5),
        keys("run.json", teachers=[{"run": 5}]), keys("run.json", changed=["x"]), keys("run.json", versions=[]),
        keys("run.json", seed=2**70), keys("run.json", published="y"), keys("run.json", objective=[0.1]),
    )  # fmt: skip
    for damage in record:
        yield "evaluate compare live train", damage, r"run\.json|'?base'?|no runs"
    contract: tuple[Damage, ...] = (
        put("contract.json"), put("contract.json", "17"), put("contract.json", DEEP), noise("contract.json", 300),
        put("contract.json", b"\xfe\xff\0{\0}"), directory("contract.json"), fifo("contract.json"),
        keys("contract.json", height=15), keys("contract.json", height=24.5), keys("contract.json", height=True),
        keys("contract.json", width=[24]), keys("contract.json", width=-24), keys("contract.json", labels="angry"),
        keys("contract.json", labels={}), keys("contract.json", labels=["a", 2]),
        keys("contract.json", labels=["a"] * 7),
        keys("contract.json", labels=[f"l{n}" for n in range(5000)]), keys("contract.json", colour=3),
        keys("contract.json", colour="RGB"), keys("contract.json", crop_margin=-0.5),
        keys("contract.json", crop_margin="0.1"), keys("contract.json", crop_margin=[0.1]),
        keys("contract.json", temperature=-1), keys("contract.json", temperature=1e300),
        keys("contract.json", temperature=[1]), keys("contract.json", interpolation="nearest-ish"),
        keys("contract.json", more="x"), text("contract.json", r'"height": \d+', '"height": 1e999'),
        text("contract.json", r'"height": \d+', f'"height": {"7" * 5000}'),
    )  # fmt: skip
    for damage in contract:
        yield "evaluate live", damage, r"contract\.json"
    config: tuple[Damage, ...] = (
        without("config.yaml"), put("config.yaml", "- a\n- b\n"), put("config.yaml", "a: &x [1]\nb: *x\n"),
        put("config.yaml", "model: !!python/name:os.system\ndataset: {}\n"), noise("config.yaml", 700),
        put("config.yaml", "dataset: {}\nmodel: {}\n" + "{" * 500), fifo("config.yaml"), directory("config.yaml"),
        text("config.yaml", r"^  per_emotion: .*", "  per_emotion: -7"),
        text("config.yaml", r"^  per_emotion: .*", "  per_emotion: [7]"),
        text("config.yaml", r"^  per_emotion: .*", "  per_emotion: 1000000000"),
        text("config.yaml", r"^  image_size: .*", "  image_size: 7.5"),
        text("config.yaml", r"^  image_size: .*", "  image_size: ${oc.env:PATH}"),
        text("config.yaml", r"^  noise: .*", "  noise: .nan"),
        text("config.yaml", r"^  split_seed: .*", "  split_seed: x"),
        text("config.yaml", r"^  name: synthetic", "  name: /etc"),
        text("config.yaml", r"^dataset:\n(  .*\n)*", "dataset: [1]\n"),
    )  # fmt: skip
    for damage in config:
        yield "evaluate train", damage, r"config\.yaml|dataset"
    yield "train", text("config.yaml", r"_target_: .*", "_target_: builtins.exec"), "builtins.exec"
    yield "train", text("config.yaml", r"^  learning_rate: .*", "  learning_rate: .inf"), "learning_rate"
    yield "train", text("config.yaml", r"^  optimizer: .*", "  optimizer: {a: b}"), "optimizer"
    yield "train", text("config.yaml", r"^  epochs: .*", "  epochs: 10000000000"), "epochs"
    for section in ("trainer", "model", "augmentation"):
        emptied = text("config.yaml", rf"^{section}:\n(  .*\n)*", f"{section}: null\n")
        yield "evaluate publish train", emptied, r"config\.yaml"
    networks: tuple[Damage, ...] = (
        put(_NET, "PK\x03\x04 no more"),
        noise(_NET, 4000), cut(_NET, 0.9), flipped(_NET, 89, 400),
        directory(_NET), fifo(_NET), archive(_NET, readme="x"),
        archive(_NET, config__json="[]"), archive(_NET, config__json=DEEP),
        archive(_NET, config__json='{"class_name": "Model", "config": {}}', metadata__json="[]"),
        archive(_NET, config__json='{"module": "subprocess", "class_name": "Popen", "config": {"args": "id"}}'),
        archive(_NET, config__json="9" * 20_000_000),
    )  # fmt: skip
    for damage in networks:
        yield "evaluate keras", damage, "best"
    for damage in (
        put("checkpoints/state.npz", "x"), cut("checkpoints/state.npz", 0.7), flipped("checkpoints/state.npz", 89, 300),
        archive("checkpoints/state.npz", progress__npy=claiming((2**40,))), fifo("checkpoints/state.npz"),
        archive("checkpoints/state.npz", progress__npy=claiming((1,), "|O")),
    ):  # fmt: skip
        yield "train", damage, r"state\.npz|resume|base"
    for damage in (
        put("predictions.npz", "x"), cut("predictions.npz", 0.3), fifo("predictions.npz"),
        archive("predictions.npz", test_probabilities__npy=claiming((2**33, 7)), test_labels__npy=claiming((9,))),
        archive("predictions.npz", test_probabilities__npy=claiming((4, 7), "|O")), put("metrics.json", "[1]"),
        put("metrics.json", DEEP),
    ):  # fmt: skip
        yield "compare", damage, r"predictions\.npz|metrics\.json|again"
