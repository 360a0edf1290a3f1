import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from convolve.run.history import History, read_history


def entry(epoch):
    return {"epoch": epoch, "train_loss": 1 / epoch, "lr": 0.1, "validation": {"loss": 2.0, "accuracy": 0.5}}


def test_epochs_after_the_checkpoint_are_dropped(tmp_path):
    history = History(tmp_path, [])
    for epoch in (1, 2, 3):
        history.add(entry(epoch))
    history.close()
    resumed = History(tmp_path, read_history(tmp_path)[:2])
    resumed.add(entry(3) | {"lr": 0.7})
    resumed.close()
    assert [(line["epoch"], line["lr"]) for line in read_history(tmp_path)] == [(1, 0.1), (2, 0.1), (3, 0.7)]


def test_tensorboard_reads_it(tmp_path):
    history = History(tmp_path, [])
    history.add(entry(1))
    history.close()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(e.step, e.value) for e in board.Scalars("validation/accuracy")] == [(1, 0.5)]
    assert set(board.Tags()["scalars"]) == {"epoch", "train_loss", "lr", "validation/loss", "validation/accuracy"}


def test_an_epoch_costs_milliseconds(tmp_path):
    history = History(tmp_path, [])
    history.add(entry(1))
    start = time.process_time()
    for epoch in range(2, 22):
        history.add(entry(epoch))
    history.close()
    assert (time.process_time() - start) / 20 < 0.05


def test_nothing_is_read_before_the_first_epoch(tmp_path):
    assert read_history(tmp_path) == []
