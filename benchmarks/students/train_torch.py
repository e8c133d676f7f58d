"""Train networks that are given as files, in PyTorch on a GPU or a processor. This file needs nothing else but NumPy.

    python train_torch.py FOLDER/students.jobs.json --seeds 0,1,2

The job file names, relative to its folder: `data`, the arrays of the splits; `teacher`, a network and its weights, or null;
`defaults`, options that every job has; and `jobs`, each with a name, a network and perhaps its first weights. Networks are JSON
files of `benchmarks.students.exchange`. Every job and seed gives `trained/NAME_SEED.npz`, the weights of the best epoch by
validation, averaged over steps, and `trained/NAME_SEED.json`, its scores. What is there already is not trained again, so an
interrupted run continues where it stopped.

Several networks train side by side on a GPU, each in a stream of its own and each step as one captured graph, because a single
small network leaves most of a GPU idle. Loss, augmentation and schedule are those of `u3p-edge train` (`u3p_edge.training`,
`u3p_edge.data.augment`), computed for a whole epoch at once.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    raise SystemExit(
        "train_torch.py needs PyTorch, which is no dependency of u3p_edge: run `python -m pip install torch`, or copy this "
        "file and the folder of the job file to a machine that has it."
    ) from error

SPLITS = ("train", "val", "test")
WEIGHT_DECAY = 1e-4
Tensor = Any
"""A torch.Tensor. PyTorch is not installed where types are checked."""


@dataclass(frozen=True)
class Split:
    """Images float32 [N, C, H, W], labels int64 [N, H, W], and the group (patient) of each image."""

    images: Tensor
    labels: Tensor
    groups: Sequence[str]


@dataclass(frozen=True)
class Network:
    """A graph that computes in PyTorch.

    Args:
        nodes: as the JSON file has them, in topological order.
        outputs: names of the outputs; the first is the mask.
        classes: channels of the mask.
        weights: by "node/weight"; kernels are [out, in, kh, kw]. Training changes them.
    """

    nodes: Sequence[Mapping[str, Any]]
    outputs: Sequence[str]
    classes: int
    weights: Mapping[str, Tensor]

    @property
    def parameters(self) -> list[Tensor]:
        """What the optimiser changes: all weights but the statistics of batch normalisation."""
        return [value for key, value in self.weights.items() if not _is_statistic(key)]

    def __call__(self, images: Tensor, momentum: float | None = None) -> list[Tensor]:
        """Return the outputs [N, K, H, W].

        Args:
            images: [N, C, H, W].
            momentum: of the running statistics while training; None for inference, which uses them.
        """
        values: dict[str, Tensor] = {}
        for node in self.nodes:
            inputs = [values[name] for name in node["inputs"]] or [images]
            weights = {key: self.weights[f"{node['name']}/{key}"] for key in node["weights"]}
            values[node["name"]] = apply(node, inputs, weights, momentum)
        return [values[name] for name in self.outputs]


def apply(node: Mapping[str, Any], inputs: Sequence[Tensor], weights: Mapping[str, Tensor], momentum: float | None) -> Tensor:
    """Return the value of one node. Raises ValueError for an op that is not trained here."""
    op, attrs, x = node["op"], node["attrs"], inputs[0]
    if op in ("input", "identity", "dropout"):
        return x
    if op == "conv":
        return _convolve(node, x, weights)
    if op == "batch_norm":
        statistics, affine = (weights["mean"], weights["variance"]), (weights.get("gamma"), weights.get("beta"))
        return F.batch_norm(x, *statistics, *affine, momentum is not None, momentum or 0.0, attrs["epsilon"])
    if op == "max_pool":
        return F.max_pool2d(x, attrs["pool_size"][0], attrs["strides"][0])
    if op == "upsample":
        bilinear = {"mode": "bilinear", "align_corners": False} if attrs["interpolation"] == "bilinear" else {}
        return F.interpolate(x, scale_factor=attrs["size"][0], **bilinear)
    if op == "concat":
        return torch.cat(inputs, 1)
    if op == "add":
        return sum(inputs[1:], x)
    if op == "depth_to_space":
        block, (count, channels, height, width) = attrs["block"], x.shape
        blocks = x.reshape(count, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
        return blocks.reshape(count, channels // block**2, height * block, width * block)
    return activate(x, attrs.get("function", op))


def activate(x: Tensor, function: str) -> Tensor:
    """Return an activation of x by its name. Raises ValueError for one that is not trained here."""
    functions = {"linear": lambda x: x, "relu": F.relu, "sigmoid": torch.sigmoid, "softmax": lambda x: torch.softmax(x, 1)}
    if function not in functions:
        raise ValueError(f"{function!r} is not trained here")
    return functions[function](x)


def _convolve(node: Mapping[str, Any], x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
    attrs, kernel = node["attrs"], weights["kernel"]
    stride, size = attrs["strides"][0], kernel.shape[2]
    if stride not in (1, size) or list(attrs["dilation"]) != [1, 1]:
        raise ValueError(f"the convolution {node['name']!r} has strides or a dilation that are not trained here")
    padding = "same" if attrs["padding"] == "same" and stride == 1 else 0
    y = F.conv2d(x, kernel, weights.get("bias"), stride=stride, padding=padding, groups=attrs["groups"])
    return activate(y, attrs["activation"])


def read_network(path: Path, weights: Path | None, seed: int, device: Any) -> Network:
    """Return a network of a JSON file with weights of an NPZ file, or with those that the seed draws (He et al. 2015)."""
    description = json.loads(path.read_text(encoding="utf-8"))
    arrays = dict(np.load(weights)) if weights else _draw_weights(description["nodes"], np.random.default_rng(seed))
    tensors = {}
    for key in (f"{node['name']}/{name}" for node in description["nodes"] for name in node["weights"]):
        tensor = torch.tensor(arrays[key].astype(np.float32))
        if key.endswith("/kernel"):
            tensor = tensor.permute(3, 2, 0, 1).contiguous().to(memory_format=torch.channels_last)
        tensors[key] = tensor.to(device).requires_grad_(not _is_statistic(key))
    return Network(description["nodes"], description["outputs"], description["classes"], tensors)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as an NPZ file, whole or not at all: kernels [kh, kw, in, out] in float16, all others in float32."""
    arrays = {}
    for key, value in weights.items():
        array = value.detach().float().cpu()
        arrays[key] = array.permute(2, 3, 1, 0).numpy().astype(np.float16) if key.endswith("/kernel") else array.numpy()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def _draw_weights(nodes: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    drawn: dict[str, npt.NDArray[Any]] = {}
    for node in nodes:
        for name, shape in node["weights"].items():
            if name == "kernel":
                drawn[f"{node['name']}/{name}"] = rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:3]))
            else:
                drawn[f"{node['name']}/{name}"] = np.full(shape, float(name in ("gamma", "variance")))
    return drawn


def _is_statistic(key: str) -> bool:
    return key.endswith(("/mean", "/variance"))


def read_splits(path: Path, device: Any) -> dict[str, Split]:
    """Return the splits of an NPZ file of `benchmarks.students.prepare`."""
    arrays, splits = np.load(path), {}
    for name in SPLITS:
        images = torch.tensor(arrays[f"{name}_images"].astype(np.float32)).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor(arrays[f"{name}_labels"].astype(np.int64))
        splits[name] = Split(images.to(device), labels.to(device), [str(group) for group in arrays[f"{name}_groups"]])
    return splits


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return labels [N, H, W] as float32 [N, K, H, W]; of one class, the labels themselves."""
    return labels[:, None].float() if classes == 1 else F.one_hot(labels, classes).permute(0, 3, 1, 2).float()


def dice_ce(truth: Tensor, mask: Tensor) -> Tensor:
    """Return soft Dice loss of the foreground plus cross-entropy of each image, float32 [N], as `u3p_edge.training.losses`."""
    mask = mask.float()
    if mask.shape[1] == 1:
        regions, full = (truth, mask), tuple(torch.cat([1 - each, each], 1) for each in (truth, mask))
    else:
        regions, full = (truth[:, 1:], mask[:, 1:]), (truth, mask)
    overlap, total = (regions[0] * regions[1]).sum((2, 3)), sum(each.sum((2, 3)) for each in regions)
    dice = 1 - ((2 * overlap + 1) / (total + 1)).mean(1)
    entropy = -(full[0] * torch.log(full[1].clamp(1e-7, 1 - 1e-7))).sum(1).mean((1, 2))
    return dice + entropy


def divergence(teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of every channel's probability, summed over channels: float32 [N]."""
    q, p = (each.float().clamp(1e-7, 1 - 1e-7) for each in (teacher, mask))
    return (q * torch.log(q / p) + (1 - q) * torch.log((1 - q) / (1 - p))).sum(1).mean((1, 2))


@dataclass(frozen=True)
class Augmenter:
    """Random changes of images, the options as in `u3p_edge.data.augmentation.Augmentation`; each image draws its own."""

    options: Mapping[str, Any]
    generator: Any
    device: Any

    def __call__(self, images: Tensor, labels: Tensor, soft: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return changed images [N, C, H, W], and labels [N, H, W] and soft masks [N, K, H, W] moved along."""
        low = images.amin((1, 2, 3), keepdim=True)
        span = (images.amax((1, 2, 3), keepdim=True) - low).clamp_min(1e-6)
        grid = self._draw_grid(images.shape)
        moved = F.grid_sample(images - low, grid, align_corners=False) + low
        masks = F.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0].round().long()
        if soft is not None:  # what comes in from outside is background, whose probability is 1
            outside = torch.zeros(1, soft.shape[1], 1, 1, device=self.device)
            outside[0, 0] = float(soft.shape[1] > 1)
            soft = (F.grid_sample(soft.float() - outside, grid, align_corners=False) + outside).to(soft.dtype)
        changed = self._change_intensity(((moved - low) / span).clamp(0, 1))
        return changed.clamp(0, 1) * span + low, masks, soft

    def _draw(self, *shape: int) -> Tensor:
        return torch.rand(*shape, device=self.device, generator=self.generator)

    def _chance(self, count: int) -> Tensor:
        return self._draw(count) < self.options["probability"]

    def _factor(self, count: int, amount: float) -> Tensor:
        """Return a factor 1 / (1 + amount) to 1 + amount for some images, 1 for the others: [N]."""
        chosen, exponent = self._chance(count), self._draw(count) * 2 - 1
        return torch.where(chosen, torch.exp(exponent * math.log1p(amount)), torch.ones(count, device=self.device))

    def _draw_grid(self, shape: Sequence[int]) -> Tensor:
        """Return where each pixel comes from: flips, a rotation, a scaling and a shift as one grid [N, H, W, 2]."""
        (count, _, height, width), options = shape, self.options
        flip_x = 1 - 2 * (self._chance(count) & bool(options["flip_horizontal"])).float()
        flip_y = 1 - 2 * (self._chance(count) & bool(options["flip_vertical"])).float()
        angle = torch.deg2rad((self._draw(count) * 2 - 1) * options["rotation"]) * self._chance(count)
        scale = self._factor(count, options["scaling"])
        shift = (self._draw(count, 2) * 2 - 1) * options["shift"] * 2 * self._chance(count)[:, None]
        cos, sin, (down, right) = torch.cos(angle) / scale, torch.sin(angle) / scale, shift.T
        rows = (
            torch.stack([cos * flip_x, sin * flip_x * height / width, -(cos * right + sin * down) * flip_x], 1),
            torch.stack([-sin * flip_y * width / height, cos * flip_y, -(cos * down - sin * right) * flip_y], 1),
        )
        return F.affine_grid(torch.stack(rows, 1), (count, 1, height, width), align_corners=False)

    def _change_intensity(self, images: Tensor) -> Tensor:
        """Return images in 0..1 with another gamma, gain, bias field and noise; what comes out may leave that range."""
        count, options = len(images), self.options
        images = images.clamp_min(1e-6) ** self._factor(count, options["gamma"])[:, None, None, None]
        images = images * self._factor(count, options["gain"])[:, None, None, None]
        images = images * (1 + self._draw_field(count, *images.shape[2:])[:, None])
        noise = torch.randn(images.shape, device=self.device, generator=self.generator)
        return images + noise * (self._draw(count) * options["noise"] * self._chance(count))[:, None, None, None]

    def _draw_field(self, count: int, height: int, width: int) -> Tensor:
        """Return smooth fields [N, H, W] of four cosines a side, the longer the stronger; 0 for some images."""
        waves = torch.arange(4, device=self.device).float()
        y, x = (
            torch.cos(math.pi * waves * torch.linspace(0, 1, size, device=self.device)[:, None]) for size in (height, width)
        )
        weights = torch.randn(count, 4, 4, device=self.device, generator=self.generator) / (1 + waves[:, None] + waves)
        field = torch.einsum("hy,nyx,wx->nhw", y, weights, x)
        field = field / field.abs().amax((1, 2), keepdim=True).clamp_min(1e-6)
        return field * (self._draw(count) * self.options["bias"] * self._chance(count))[:, None, None]


def predict(network: Network, images: Tensor, batch: int = 32) -> Tensor:
    """Return the mask's probabilities float32 [N, K, H, W]."""
    with torch.no_grad():
        return torch.cat([network(images[first : first + batch])[0].float() for first in range(0, len(images), batch)])


def score(network: Network, split: Split) -> npt.NDArray[np.float64]:
    """Return Dice of every group, in sorted order, and foreground class; NaN for a class in neither mask: float64 [G, K]."""
    mask = predict(network, split.images)
    predicted = ((mask[:, 0] > 0.5).long() if network.classes == 1 else mask.argmax(1)).cpu().numpy()
    truth, names = split.labels.cpu().numpy(), np.array(split.groups)
    rows = []
    for name in sorted(set(split.groups)):
        chosen, row = names == name, []
        for label in range(1, max(2, network.classes)):
            a, b = predicted[chosen] == label, truth[chosen] == label
            total = a.sum() + b.sum()
            row.append(2 * (a & b).sum() / total if total else np.nan)
        rows.append(row)
    return np.array(rows)


class Run:
    """The training of one job with one seed, a step at a time. Its tensors stay where they are, as a captured step needs."""

    def __init__(self, job: Mapping[str, Any], network: Network, data: Mapping[str, Split], soft: Tensor | None, device: Any):
        self.job, self.network, self.data, self.device = job, network, data, device
        self.soft = soft if job["distillation"] else None
        decayed = [weight for weight in network.parameters if weight.ndim > 1]
        others = [weight for weight in network.parameters if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        gpu = device.type == "cuda"
        self.rate, self.kept = torch.tensor(0.0, device=device), torch.tensor(1.0, device=device)
        self.optimizer = torch.optim.AdamW(groups, lr=self.rate, eps=1e-7, capturable=gpu, fused=gpu)
        self.live = [weight.detach() for weight in network.weights.values()]
        self.average = [weight.clone() for weight in self.live]
        train, size = data["train"], job["batch"]
        self.images = torch.zeros(size, *train.images.shape[1:], device=device).to(memory_format=torch.channels_last)
        self.labels = torch.zeros(size, *train.labels.shape[1:], dtype=torch.long, device=device)
        self.teacher = None if self.soft is None else torch.zeros(size, *self.soft.shape[1:], device=device)
        self.loss = torch.zeros((), device=device)
        self.graph = self._capture() if gpu else None

    def epochs(self) -> Iterator[tuple[int, float]]:
        """Train. Yields after every step: the epochs that are complete, and the loss at the end of one, else NaN."""
        job, train, done = self.job, self.data["train"], 0
        generator = torch.Generator(device=self.device)
        generator.manual_seed(job["seed"])
        augment = Augmenter(job["augmentation"], generator, self.device)
        steps = len(train.images) // job["batch"]
        for epoch in range(job["epochs"]):
            images, labels, soft = augment(train.images, train.labels, self.soft)
            order = torch.randperm(len(images), generator=generator, device=self.device)
            for step in range(steps):
                chosen = order[step * job["batch"] : (step + 1) * job["batch"]]
                self.images.copy_(images[chosen])
                self.labels.copy_(labels[chosen])
                if self.teacher is not None and soft is not None:
                    self.teacher.copy_(soft[chosen].float())
                self.rate.fill_(learning_rate(job, done, steps))
                self.kept.fill_(min(job["averaging"], (1 + done) / (10 + done)))
                done += 1
                self.graph.replay() if self.graph else self._step()
                last = step + 1 == steps
                yield epoch + int(last), float(self.loss) if last else math.nan

    def evaluate_average(self) -> float:
        """Return the validation Dice of the averaged weights, and leave the trained ones as they are."""
        current = [weight.clone() for weight in self.live]
        self.restore(self.average)
        dice = float(np.nanmean(score(self.network, self.data["val"])))
        self.restore(current)
        return dice

    def restore(self, weights: Sequence[Tensor]) -> None:
        """Give the network other weights."""
        for target, weight in zip(self.live, weights, strict=True):
            target.copy_(weight)

    def _step(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        masks = self.network(self.images, momentum=self.job["momentum"])
        truth = one_hot(self.labels, self.network.classes)
        loss = sum(dice_ce(truth, mask) for mask in masks) / len(masks)
        if self.teacher is not None:
            loss = loss + self.job["distillation"] * divergence(self.teacher, masks[0])
        loss.mean().backward()
        self.optimizer.step()
        self.loss.copy_(loss.detach().mean())
        torch._foreach_mul_(self.average, self.kept)
        torch._foreach_add_(self.average, torch._foreach_mul(self.live, 1 - self.kept))

    def _capture(self) -> Any:
        """Return the step as a CUDA graph. Capturing runs it a few times, so weights and optimiser are put back."""
        before = [weight.clone() for weight in self.live]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        for weights in (self.live, self.average):
            for target, weight in zip(weights, before, strict=True):
                target.copy_(weight)
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()
        torch.cuda.synchronize()
        return graph


def learning_rate(job: Mapping[str, Any], done: int, steps: int) -> float:
    """Return the rate after `done` steps of `steps` an epoch: a linear warm-up, then half a cosine to zero."""
    warm, total = job["warmup"] * steps, job["epochs"] * steps
    if done < warm:
        return float(job["learning_rate"] * (done + 1) / warm)
    return float(job["learning_rate"] * 0.5 * (1 + math.cos(math.pi * (done - warm) / (total - warm))))


def train(run: Run, out: Path) -> Iterator[None]:
    """Train one run and write its files; yields after every step."""
    start, job, best = time.monotonic(), run.job, (-math.inf, 0, list[Any]())
    history = []
    for epoch, loss in run.epochs():
        if not math.isnan(loss) and (epoch % job["validate"] == 0 or epoch == job["epochs"]):
            dice = run.evaluate_average()
            history.append({"epoch": epoch, "loss": loss, "val": dice})
            if dice > best[0]:
                best = (dice, epoch, [weight.clone() for weight in run.average])
        yield
    run.restore(best[2])
    scores = {name: score(run.network, run.data[name]) for name in ("val", "test")}
    record = {
        "name": job["name"], "seed": job["seed"], "seconds": round(time.monotonic() - start, 1), "best_epoch": best[1],
        **{name: float(np.nanmean(rows)) for name, rows in scores.items()},
        "test_groups": sorted(set(run.data["test"].groups)),
        "test_dice": [[None if math.isnan(dice) else round(dice, 5) for dice in row] for row in scores["test"].tolist()],
        "history": history, "torch": torch.__version__, "device": describe_device(run.device),
        "options": {name: value for name, value in job.items() if name not in ("name", "seed", "network", "weights")},
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{job['name']}_{job['seed']}"
    write_weights(out / f"{stem}.npz", run.network.weights)
    partial = out / f"{stem}.partial"
    partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    partial.replace(out / f"{stem}.json")  # last: a job whose scores are there is complete
    print(f"{stem}: epoch {best[1]}, validation {record['val']:.4f}, {record['seconds']} s", flush=True)


def describe_device(device: Any) -> str:
    """Return what a network was trained on."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "processor"


def train_side_by_side(runs: Sequence[Run], out: Path) -> None:
    """Train runs, a step of each in turn, each on a stream of its own."""
    gpu = runs[0].device.type == "cuda"
    live = [(train(run, out), torch.cuda.Stream() if gpu else None) for run in runs]
    while live:
        for item in tuple(live):
            steps, stream = item
            with torch.cuda.stream(stream):
                if next(steps, StopIteration) is StopIteration:
                    live.remove(item)


def run_jobs(path: Path, seeds: Sequence[int], at_once: int, minutes: float, device: Any) -> None:
    """Train every job of a file with every seed, as far as that is not done and time is left.

    Args:
        path: the job file.
        seeds: of weights that are drawn, of augmentation, and of the order of images.
        at_once: jobs side by side.
        minutes: no further job starts after them.
        device: torch.device.
    """
    file, folder, end = json.loads(path.read_text(encoding="utf-8")), path.parent, time.monotonic() + 60 * minutes
    jobs = [{**file["defaults"], **job, "seed": seed} for seed in seeds for job in file["jobs"]]
    left = [job for job in jobs if not (folder / "trained" / f"{job['name']}_{job['seed']}.json").exists()]
    print(f"{len(left)} of {len(jobs)} jobs are left", flush=True)
    if not left:
        return
    data, soft = read_splits(folder / file["data"], device), None
    if file["teacher"]:
        teacher = read_network(folder / file["teacher"]["network"], folder / file["teacher"]["weights"], 0, device)
        soft = predict(teacher, data["train"].images).half()
    for first in range(0, len(left), at_once):
        if time.monotonic() > end:
            raise SystemExit(f"{len(left) - first} jobs are left; run the same command again")
        runs = []
        for job in left[first : first + at_once]:
            weights = folder / job["weights"] if job.get("weights") else None
            network = read_network(folder / job["network"], weights, job["seed"], device)
            runs.append(Run(job, network, data, soft, device))
        train_side_by_side(runs, folder / "trained")


def main() -> None:
    """Run the jobs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", type=Path, help="job file")
    parser.add_argument("--seeds", default="0", help="comma-separated (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=8, help="networks trained side by side (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="no further job starts after them (default: no limit)")
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seeds = [int(seed) for seed in given.seeds.split(",")]
    run_jobs(given.jobs, seeds, given.at_once, given.minutes, device)


if __name__ == "__main__":
    main()
