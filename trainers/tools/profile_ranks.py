"""The profile of a step on several ranks: computation, exchange, waiting and update of each."""

from dataclasses import asdict, dataclass
from typing import Any

from ...modules.core.text_table import format_table
from ..configs import Config
from ..optimizers.full_batch import FullBatch
from ..parallel.communicator import Ranks
from ..parallel.reading import read_for_all
from ..parallel.shared_data import Receive
from ..training.trainer import Trainer
from .profile import format_seconds, format_title

SECONDS = 2.0  # of the measurement
FIRST = 10  # steps that compile and warm up
LEFT_OUT = ("epochs", "steps", "evaluate_every", "metrics")  # settings that do not count here


@dataclass
class RankTimes:
    """The seconds of a step on a rank; `wait` is what others were waited for, a part of `exchange`."""

    rank: int
    host: str
    compute: float
    exchange: float
    wait: float
    update: float


@dataclass
class RanksProfile:
    """The times of a step on all ranks; `unit` says what is a step: for a full-batch optimizer a pass over all samples.

    That is an evaluation of the loss and the gradient, or a product with the curvature; directions and the rest of a
    line search are then the update.
    """

    title: str
    batch_size: int
    shards: int
    bytes: int
    ranks: list[RankTimes]
    unit: str = "step"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        head = f"One {self.unit} of {self.title}, minibatches of {self.batch_size} in {self.shards} shards"
        rows: list[tuple[str, ...]] = [("rank", "host", "compute", "exchange", "of it waiting", "update")]
        for each in self.ranks:
            times = (each.compute, each.exchange, each.wait, each.update)
            rows.append((str(each.rank), each.host, *(format_seconds(seconds) for seconds in times)))
        return "\n".join([head, *format_table(rows), f"the gradient has {self.bytes} bytes"])


def profile_on_ranks(config: Config, ranks: Ranks) -> RanksProfile:
    """Profile the training of a config on all ranks: it trains for about two seconds, and discards that.

    Errors: those of the training.
    """

    def prepare(receive: Receive | None) -> Any:
        experiment = config.build(receive=receive)
        experiment.dataset.train  # noqa: B018  # which is read by rank 0 for all
        return experiment

    experiment = read_for_all(ranks, prepare, lambda experiment: experiment.dataset, "reading the data")
    settings = {name: value for name, value in experiment.settings.items() if name not in LEFT_OUT} | {"metrics": []}
    parts = experiment.model, experiment.loss, experiment.optimizer
    more = {"augment": experiment.augment, "rule": experiment.rule, "seed": config.seed}
    trainer = Trainer(*parts, **more, quiet=True, communicator=ranks)
    data = experiment.dataset.train
    full = isinstance(experiment.optimizer, FullBatch)
    first, counted = (1, "epochs") if full else (FIRST, "steps")
    for _ in range(2):
        trainer.fit(data, **settings | {counted: first})
    seconds = sum(trainer.compiled_step.sharding.seconds.values()) / first
    steps = ranks.from_first(max(first, int(SECONDS / seconds)), "the length of the profile")
    before = ranks.watchdog.seconds
    trainer.fit(data, **settings | {counted: steps})
    sharding = trainer.compiled_step.sharding
    steps = sharding.passes if full else steps
    own = {name: value / steps for name, value in sharding.seconds.items()}
    own["wait"] = min(own["exchange"], (ranks.watchdog.seconds - before) / steps)
    times = [
        RankTimes(peer.rank, peer.host, **theirs)
        for peer, theirs in zip(ranks.peers, ranks.share(own, "the profile"), strict=True)
    ]
    size = trainer.model.flat_parameters.nbytes
    batch_size = settings.get("batch_size", 32)
    unit = "pass over all samples" if full else "step"
    return RanksProfile(format_title(trainer.compiled_step), batch_size, sharding.shards, size, times, unit)
