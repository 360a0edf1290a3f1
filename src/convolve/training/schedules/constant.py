from convolve.training.schedules import SCHEDULES, Stateless


@SCHEDULES.register("constant")
class Constant(Stateless):
    """The peak all the time."""

    def factor(self, progress: float) -> float:
        """1, whatever the progress."""
        return 1.0
