"""From a published net's deploy.prototxt and caffemodel to scores, features, maps and a model folder, by the tools."""

from __future__ import annotations

from types import SimpleNamespace

from published_nets import NETS, write_net, write_weights

SOLVER = (
    'base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.0001 random_seed: 1 max_iter: 4 test_interval: 2\n'
)


def run_chain(tool, small_set, folder, engine, whole=True, name="thin_resnet", freeze_to="layer1_unit0_sum"):
    """Runs the tools one after the other, not `whole` up to the scores alone; all that they made, and what they
    printed by tool."""
    deploy = write_net(name, folder)
    weights = write_weights(deploy, folder / "published.caffemodel")
    (folder / "template.prototxt").write_text(SOLVER)
    said = {}

    def step(tool_name, *flags):
        done = tool(f"{tool_name}.py", *flags)
        assert done.returncode == 0, done.stderr
        said[tool_name] = done.stdout
        return done

    net, run = folder / "net", folder / "run"
    of_engine = ("--engine", engine)
    fold = ("--folds", small_set.folds, "--fold", 0, "--subset")
    images = ("--manifest", small_set.manifest, "--images", small_set.images, *fold)
    data = ("--train-data", small_set.train, "--test-data", small_set.test)
    trunk = ("--trunk-net", deploy, "--features", NETS[name].features, "--freeze-to", freeze_to)
    step("make_prototxt", "--model", "resnet50_mtl", *trunk, "--batch-size", 8, *data, "--out", net)
    if whole:
        step("check_weights", "--net", net, "--weights", weights, *of_engine)
    start = ("--weights", weights, "--weights-licence", "CC BY 4.0")
    solver = ("--solver", folder / "template.prototxt", "--net", net, "--watch-test-fold")
    step("train", *solver, *start, *of_engine, "--out", run)
    how = ("--run", run, *images, "test", "--short-side", 72, "--workers", 1, *of_engine)
    step("score", *how, "--out", folder / "scores.npz")
    made = SimpleNamespace(folder=folder, deploy=deploy, weights=weights, net=net, run=run, said=said)
    if not whole:
        return made
    step("extract_features", *how, "--out", folder / "test.npz")
    of_training = ("--run", run, *images, "train", "--short-side", 72, "--workers", 1, *of_engine)
    step("extract_features", *of_training, "--out", folder / "train.npz")
    features = ("--features", folder / "train.npz", "--queries", folder / "test.npz")
    step("retrieve", *features, "--out", folder / "neighbours.csv")
    step("attend", *how, "--sample", 2, "--out", folder / "attention")
    step(
        "export",
        "--run",
        run,
        "--manifest",
        small_set.manifest,
        *of_engine,
        "--short-side",
        72,
        "--out",
        folder / "model",
    )
    photograph = sorted(small_set.images.iterdir())[0]
    step("predict", "--model-folder", folder / "model", photograph, *of_engine)
    return made
